//! The messages of a session.

use std::ops::Bound;

use super::cursor::CurrentSession;
use super::seek::{guarded, is_local, next_readable};
use super::slice::Slice;
use crate::domain::archive::{ArchivedMessage, Item};
use crate::domain::id::SessionId;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::store::error::{ReadError, ReadResult};
use crate::store::quarantine::location::RecordLocation;
use crate::store::read::reader::Reader;
use crate::store::schema::record;

impl Slice<'_> {
    /// Adds the session's next messages; returns where to continue, none at its end.
    pub(super) fn messages_of(
        &mut self,
        mut current: CurrentSession,
    ) -> ReadResult<Option<CurrentSession>> {
        if current.is_read && current.after > Timestamp::MIN {
            let id = current.id;
            let is_deleted = self.try_read(id, "its record", |reader| reader.is_deleted(id))?;
            if is_deleted.unwrap_or(false) {
                self.items.push(Item::Deleted(id));
                return Ok(None);
            }
        }
        let has_more = match guarded(|| self.read_messages(&mut current)) {
            Err(error) if is_local(&error) => {
                self.skip_messages(&mut current, &error)?;
                true
            }
            read => read?,
        };
        if has_more {
            return Ok(Some(current));
        }
        self.miss_replies(&mut current, Timestamp::MAX)?;
        Ok(None)
    }

    /// Returns whether there may be more.
    fn read_messages(&mut self, current: &mut CurrentSession) -> ReadResult<bool> {
        if current.after >= current.until {
            return Ok(false);
        }
        let raw = u128::from(current.id);
        let start = Bound::Excluded((raw, current.after.0));
        let end = Bound::Included((raw, current.until.0));
        let began_after = current.after;
        for row in self.reader.snapshot.messages.range((start, end))? {
            // A slice of misplaced rows only would repeat forever.
            if self.items.len() >= self.rows && current.after > began_after {
                return Ok(true);
            }
            let (key, bytes) = row?;
            let (owner, at) = key.value();
            let at = Timestamp(at);
            if owner == raw && at > current.after && Timestamp::WRITABLE.contains(&at) {
                current.after = at;
                self.message(current, at, bytes.value());
            } else {
                let location = RecordLocation::Message(at);
                self.lost(
                    current.id,
                    &location,
                    "its key is damaged",
                    bytes.value().to_vec(),
                );
            }
        }
        Ok(false)
    }

    fn message(&mut self, current: &mut CurrentSession, at: Timestamp, bytes: &[u8]) {
        current.awaited.remove(&at);
        match record::decode_message(current.id, at, bytes) {
            Ok(message) => self.items.push(Item::Message(current.archived(message))),
            Err(error) => {
                let location = RecordLocation::Message(at);
                self.undecodable(current.id, location, &error, bytes.to_vec());
            }
        }
    }

    /// Continues after the messages that cannot be read.
    fn skip_messages(&mut self, current: &mut CurrentSession, error: &ReadError) -> ReadResult<()> {
        let (reader, id, until) = (self.reader, current.id, current.until);
        let place = if current.after > Timestamp::MIN {
            format!("messages after {}", current.after)
        } else {
            "its first messages".to_owned()
        };
        self.lost.push(format!("session {id}, {place}: {error}"));
        let unreadable = key_of(current.after.next());
        let next = next_readable(unreadable, key_of(until), |key| {
            reader.probe_messages(id, time_of(key), until)
        });
        current.after = match next {
            Some(key) => time_of(key - 1),
            None => until,
        };
        self.miss_replies(current, current.after)
    }

    /// Adds the missing replies up to a time as lost, since an import requires them.
    fn miss_replies(&mut self, current: &mut CurrentSession, until: Timestamp) -> ReadResult<()> {
        let mut missing: Vec<Timestamp> = current.awaited.iter().copied().collect();
        missing.retain(|at| *at <= until);
        missing.sort_unstable();
        for at in missing {
            current.awaited.remove(&at);
            let location = RecordLocation::Message(at);
            // It may have been quarantined since the export of its session began.
            let found = self.try_read(current.id, "its quarantined records", |reader| {
                reader.quarantined_at(current.id, &location)
            })?;
            match found.flatten() {
                Some(quarantined) => self.items.push(Item::Quarantined(quarantined)),
                None => self.lost(current.id, &location, "the reply is missing", Vec::new()),
            }
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Whether a session was deleted while it was exported.
    fn is_deleted(&self, id: SessionId) -> ReadResult<bool> {
        if self.snapshot.sessions.get(u128::from(id))?.is_some() {
            return Ok(false);
        }
        Ok(!self.is_session_quarantined(id)?)
    }

    /// Reads the first of a session's messages in a span, if there is one.
    fn probe_messages(&self, id: SessionId, from: Timestamp, until: Timestamp) -> ReadResult<()> {
        let raw = u128::from(id);
        let span = (raw, from.0)..=(raw, until.0);
        if let Some(row) = self.snapshot.messages.range(span)?.next() {
            let (_, bytes) = row?;
            // The page's own table of rows may be damaged.
            let _ = bytes.value().len();
        }
        Ok(())
    }
}

/// Maps a time to an unsigned key of the same order.
fn key_of(at: Timestamp) -> u128 {
    at.0.wrapping_sub(i64::MIN).cast_unsigned().into()
}

fn time_of(key: u128) -> Timestamp {
    // All keys come from `key_of`.
    let key = u64::try_from(key).unwrap_or(u64::MAX);
    Timestamp(key.cast_signed().wrapping_add(i64::MIN))
}

impl CurrentSession {
    /// Returns a message as it was when the export of its session began.
    fn archived(&mut self, mut message: Message) -> ArchivedMessage {
        let at = message.created_at;
        let was_open = self.turns.remove(&at);
        if let Role::User { turn, .. } = &mut message.role {
            let is_later = matches!(turn, TurnState::Replied(reply_at) if *reply_at > self.until);
            if was_open.is_some() || is_later {
                *turn = TurnState::Open;
            }
            if let TurnState::Replied(reply_at) = turn
                && !self.quarantined.contains(reply_at)
            {
                self.awaited.insert(*reply_at);
            }
        }
        ArchivedMessage {
            message,
            keys: self.keys.remove(&at).unwrap_or_default(),
            turn: was_open,
            errors: self.errors.remove(&at).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_map_to_ordered_keys() {
        for at in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(time_of(key_of(Timestamp(at))), Timestamp(at));
        }
        assert_eq!(key_of(Timestamp(i64::MIN)), 0);
        assert!(key_of(Timestamp(-1)) < key_of(Timestamp(0)));
    }
}
