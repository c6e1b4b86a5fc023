//! The messages of a session.

use std::collections::{HashMap, HashSet};
use std::ops::{Bound, RangeInclusive};

use super::seek::{guarded, is_of_a_place, next_readable};
use super::{Result, Slice};
use crate::domain::archive::{ArchivedMessage, Item};
use crate::domain::id::SessionId;
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::store::error::ReadError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::read::reader::Reader;
use crate::store::schema::record;

/// The times that have a text: the years from 1 to 9999.
const TIMES: RangeInclusive<Timestamp> =
    Timestamp(-62_135_596_800_000)..=Timestamp(253_402_300_799_999);

/// A session that is being exported, as it was when that began.
#[derive(Debug)]
pub(super) struct Within {
    pub(super) id: SessionId,
    /// Whether its own record could be read.
    pub(super) is_read: bool,
    /// The last message that was given.
    pub(super) after: Timestamp,
    /// The last message that there was.
    pub(super) until: Timestamp,
    pub(super) turns: HashMap<Timestamp, OpenTurn>,
    pub(super) keys: HashMap<Timestamp, Vec<IdempotencyKey>>,
    /// The messages that are set aside.
    pub(super) aside: HashSet<Timestamp>,
    /// The replies that the messages so far have and that were not given yet.
    pub(super) awaited: HashSet<Timestamp>,
}

impl Slice<'_> {
    /// Gives the session's next messages; returns where to go on, none at its end.
    pub(super) fn messages_of(&mut self, mut within: Within) -> Result<Option<Within>> {
        let reader = self.reader;
        if within.is_read && within.after > Timestamp::MIN {
            let is_gone = guarded(|| reader.is_gone(within.id));
            let is_gone = self.unless_lost(within.id, "its record", is_gone)?;
            if is_gone.unwrap_or(false) {
                self.items.push(Item::Deleted(within.id));
                return Ok(None);
            }
        }
        let has_more = match guarded(|| self.read_messages(&mut within)) {
            Err(error) if is_of_a_place(&error) => {
                self.skip_messages(&mut within, &error)?;
                true
            }
            read => read?,
        };
        if has_more {
            return Ok(Some(within));
        }
        self.miss_replies(&mut within, Timestamp::MAX)?;
        Ok(None)
    }

    /// Returns whether there may be more.
    fn read_messages(&mut self, within: &mut Within) -> Result<bool> {
        if within.after >= within.until {
            return Ok(false);
        }
        let raw = u128::from(within.id);
        let start = Bound::Excluded((raw, within.after.0));
        let end = Bound::Included((raw, within.until.0));
        let began_after = within.after;
        for row in self.reader.snapshot.messages.range((start, end))? {
            // Of misplaced rows alone the next slice would begin with the same.
            if self.items.len() >= self.rows && within.after > began_after {
                return Ok(true);
            }
            let (key, bytes) = row?;
            let (owner, at) = key.value();
            let at = Timestamp(at);
            if owner == raw && at > within.after && TIMES.contains(&at) {
                within.after = at;
                self.message(within, at, bytes.value());
            } else {
                self.misplaced(within, at, bytes.value());
            }
        }
        Ok(false)
    }

    fn message(&mut self, within: &mut Within, at: Timestamp, bytes: &[u8]) {
        within.awaited.remove(&at);
        match record::decode_message(within.id, at, bytes) {
            Ok(message) => self.items.push(Item::Message(within.archived(message))),
            Err(error) => {
                let spot = RecordLocation::Message(at);
                self.reader.damage.note(within.id, spot.clone(), &error);
                self.damaged(
                    within.id,
                    spot.to_string(),
                    error.to_string(),
                    bytes.to_vec(),
                );
            }
        }
    }

    /// Gives a message whose key is not what it was.
    fn misplaced(&mut self, within: &mut Within, at: Timestamp, bytes: &[u8]) {
        let reason = "its key is damaged";
        let spot = RecordLocation::Message(at);
        self.lost
            .push(format!("session {}, {spot}: {reason}", within.id));
        self.damaged(
            within.id,
            spot.to_string(),
            reason.to_owned(),
            bytes.to_vec(),
        );
    }

    /// Goes behind the messages that cannot be read.
    fn skip_messages(&mut self, within: &mut Within, error: &ReadError) -> Result<()> {
        let (reader, id, until) = (self.reader, within.id, within.until);
        let place = if within.after > Timestamp::MIN {
            format!("messages after {}", within.after)
        } else {
            "its first messages".to_owned()
        };
        self.lost.push(format!("session {id}, {place}: {error}"));
        let unreadable = place_of(within.after.next());
        let next = next_readable(unreadable, place_of(until), |place| {
            reader.probe_messages(id, time_of(place), until)
        });
        within.after = match next {
            Some(place) => time_of(place - 1),
            None => until,
        };
        self.miss_replies(within, within.after)
    }

    /// Gives the replies up to a time that ought to have come: an import wants to hear of them.
    fn miss_replies(&mut self, within: &mut Within, until: Timestamp) -> Result<()> {
        let mut missing: Vec<Timestamp> = within.awaited.iter().copied().collect();
        missing.retain(|at| *at <= until);
        missing.sort_unstable();
        for at in missing {
            within.awaited.remove(&at);
            let spot = RecordLocation::Message(at);
            // Since the export of its session began it may have been set aside.
            let reader = self.reader;
            let aside = guarded(|| reader.aside_at(within.id, &spot));
            match self.unless_lost(within.id, "what is set aside", aside)? {
                Some(Some(aside)) => self.items.push(Item::Quarantined(aside)),
                _ => self.lost(within.id, &spot, "the reply is not there"),
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Whether a session was deleted while it was exported.
    fn is_gone(&self, id: SessionId) -> Result<bool> {
        if self.snapshot.sessions.get(u128::from(id))?.is_some() {
            return Ok(false);
        }
        Ok(!self.is_session_set_aside(id)?)
    }

    /// Reads the first of a session's messages of a span, if there is one.
    fn probe_messages(&self, id: SessionId, from: Timestamp, until: Timestamp) -> Result<()> {
        let raw = u128::from(id);
        let span = (raw, from.0)..=(raw, until.0);
        if let Some(row) = self.snapshot.messages.range(span)?.next() {
            let (_, bytes) = row?;
            // A page's own table of its rows may be what is damaged.
            let _ = bytes.value().len();
        }
        Ok(())
    }
}

/// A time's place among all.
fn place_of(at: Timestamp) -> u128 {
    at.0.wrapping_sub(i64::MIN).cast_unsigned().into()
}

fn time_of(place: u128) -> Timestamp {
    // There are no more places than times.
    let place = u64::try_from(place).unwrap_or(u64::MAX);
    Timestamp(place.cast_signed().wrapping_add(i64::MIN))
}

impl Within {
    /// The message as it was when the export of its session began.
    fn archived(&mut self, mut message: Message) -> ArchivedMessage {
        let at = message.created_at;
        let was_open = self.turns.remove(&at);
        if let Role::User { turn, .. } = &mut message.role {
            let is_later = matches!(turn, TurnState::Replied(reply_at) if *reply_at > self.until);
            if was_open.is_some() || is_later {
                *turn = TurnState::Open;
            }
            if let TurnState::Replied(reply_at) = turn
                && !self.aside.contains(reply_at)
            {
                self.awaited.insert(*reply_at);
            }
        }
        ArchivedMessage {
            message,
            keys: self.keys.remove(&at).unwrap_or_default(),
            turn: was_open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_places() {
        for at in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(time_of(place_of(Timestamp(at))), Timestamp(at));
        }
        assert_eq!(place_of(Timestamp(i64::MIN)), 0);
        assert!(place_of(Timestamp(-1)) < place_of(Timestamp(0)));
    }
}
