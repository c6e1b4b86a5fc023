//! Checks of messages and turns.

use std::collections::HashSet;

use redb::ReadableTable as _;

use super::Check;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::record;

/// The session whose messages are being walked.
struct Owner {
    id: SessionId,
    /// Whether its record exists or is quarantined.
    is_retained: bool,
    /// Whether its messages are being removed.
    is_deleted: bool,
    /// Whether its record is quarantined, so that its turns are gone.
    is_lost: bool,
    turns: HashSet<Timestamp>,
    /// The number of undecodable open turns, whose messages are not known.
    unknown_turns: usize,
}

impl Check<'_> {
    pub(super) fn messages(&mut self) -> ReadResult<()> {
        let mut owner: Option<Owner> = None;
        for row in self.tables.messages.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (session, at) = key.value();
            let (session, at) = (SessionId::from(session), Timestamp(at));
            let owner = match owner.take() {
                Some(same) if same.id == session => owner.insert(same),
                _ => owner.insert(self.owner(session)?),
            };
            if !owner.is_retained && !owner.is_deleted {
                self.fault(format!("messages: ({session}, {at}) has no session"));
            }
            match record::decode_message(session, at, bytes.value()) {
                Ok(message) => self.message(owner, &message)?,
                Err(error) => {
                    let text = format!("messages: ({session}, {at}): {error}");
                    self.undecodable(text, session, RecordLocation::Message(at));
                }
            }
        }
        Ok(())
    }

    fn owner(&self, id: SessionId) -> ReadResult<Owner> {
        let raw = u128::from(id);
        let is_lost = self.tables.is_quarantined(id, &RecordLocation::Session)?;
        let (mut turns, mut unknown_turns) = (HashSet::new(), 0);
        for row in self.tables.open_turns.range((raw, 0)..=(raw, u32::MAX))? {
            let (key, bytes) = row?;
            match record::decode_turn(id, key.value().1, bytes.value()) {
                Ok(turn) => drop(turns.insert(turn.message_at)),
                Err(_) => unknown_turns += 1,
            }
        }
        Ok(Owner {
            id,
            is_retained: is_lost || self.tables.sessions.get(raw)?.is_some(),
            is_deleted: self.tables.deletions.get(raw)?.is_some(),
            is_lost,
            turns,
            unknown_turns,
        })
    }

    fn message(&mut self, owner: &mut Owner, message: &Message) -> ReadResult<()> {
        let Role::User { reply_id, turn, .. } = &message.role else {
            return Ok(());
        };
        let (session, at) = (owner.id, message.created_at);
        match turn {
            TurnState::Replied(_) if owner.is_deleted => {}
            TurnState::Replied(reply_at) => {
                let exists = match self.tables.message(session, *reply_at)? {
                    Some(Ok(reply)) => self.is_reply_to(&reply, message, *reply_id)?,
                    // Reported as undecodable: a second fault would have no record.
                    Some(Err(_)) => true,
                    None => self
                        .tables
                        .is_quarantined(session, &RecordLocation::Message(*reply_at))?,
                };
                if !exists {
                    self.fault(format!(
                        "messages: the reply to ({session}, {at}) is missing"
                    ));
                }
            }
            TurnState::Open => {
                let needs_row = owner.is_retained && !owner.is_lost;
                if !needs_row || owner.turns.contains(&at) {
                    return Ok(());
                }
                // Its row may be one of the undecodable ones, which are reported on their own.
                match owner.unknown_turns.checked_sub(1) {
                    Some(left) => owner.unknown_turns = left,
                    None => self.fault(format!("open_turns: ({session}, {at}) has no row")),
                }
            }
            TurnState::Failed(_) | TurnState::Copied => {}
        }
        Ok(())
    }

    /// Whether a message is the reply to another: its id was reserved for it, or for a later
    /// message that shares the reply. If that message is damaged, this is unknown and counts as
    /// true.
    fn is_reply_to(
        &self,
        reply: &Message,
        message: &Message,
        reserved: MessageId,
    ) -> ReadResult<bool> {
        let Role::Agent { in_reply_to, .. } = &reply.role else {
            return Ok(false);
        };
        if reply.id == reserved {
            return Ok(*in_reply_to == Some(message.id));
        }
        let session = message.session_id;
        let raw = u128::from(session);
        let later = (raw, message.created_at.next().0)..(raw, reply.created_at.0);
        for row in self.tables.messages.range(later)? {
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            let Ok(other) = record::decode_message(session, at, bytes.value()) else {
                // It may be the one that shares the reply; it is reported as undecodable.
                return Ok(true);
            };
            let shares_reply = matches!(
                &other.role,
                Role::User { reply_id, turn: TurnState::Replied(at), .. }
                    if *reply_id == reply.id && *at == reply.created_at
            );
            if shares_reply && *in_reply_to == Some(other.id) {
                return Ok(true);
            }
        }
        // Or the message that shares the reply is quarantined.
        self.tables
            .is_message_quarantined(session, message.created_at, reply.created_at)
    }

    /// Returns the number of turns that have a row in the index of waiting turns.
    pub(super) fn open_turns(&mut self) -> ReadResult<u64> {
        let mut waiting = 0;
        let mut seen: (Option<SessionId>, HashSet<Timestamp>) = (None, HashSet::new());
        for row in self.tables.open_turns.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            if seen.0 != Some(session) {
                seen = (Some(session), HashSet::new());
            }
            let turn = match record::decode_turn(session, position, bytes.value()) {
                Ok(turn) => turn,
                Err(error) => {
                    let text = format!("open_turns: ({session}, {position}): {error}");
                    self.undecodable(text, session, RecordLocation::Turn(position));
                    continue;
                }
            };
            let at = turn.message_at;
            if turn.waits_until.is_some() && (turn.running || !turn.begun) {
                let place = format!("({session}, {position})");
                self.fault(format!(
                    "open_turns: {place} waits, but runs or has not begun"
                ));
            }
            waiting += u64::from(self.has_waiting_row(&turn)?);
            if !seen.1.insert(at) {
                self.fault(format!("open_turns: {session} has a turn twice"));
            }
            // An undecodable message is reported on its own.
            let message = self.tables.message(session, at)?;
            let is_open = |read: Result<Message, _>| read.map_or(true, |it| it.has_open_turn());
            if !message.is_some_and(is_open) {
                self.fault(format!("open_turns: ({session}, {at}) has no open message"));
            }
        }
        Ok(waiting)
    }
}
