//! Open turns.

use std::collections::HashSet;

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Txn, internal};
use crate::domain::id::SessionId;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::ClosedReason;
use crate::events::Event;
use crate::store::error::CommandResult;
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::record;

impl Txn<'_> {
    /// Returns the number of open turns of all sessions.
    pub(crate) fn open_turn_count(&self) -> CommandResult<u64> {
        Ok(self.open_turns.open()?.len()?)
    }

    /// Returns the session's open turns in the order of execution, except damaged ones.
    pub(crate) fn open_turns(&self, session: SessionId) -> CommandResult<Vec<OpenTurn>> {
        Ok(self.open_turns_and_next(session)?.0)
    }

    /// Returns the session's open turns, and the position after all of them, damaged ones included.
    pub(crate) fn open_turns_and_next(
        &self,
        session: SessionId,
    ) -> CommandResult<(Vec<OpenTurn>, u32)> {
        let id = u128::from(session);
        let (mut turns, mut next) = (Vec::new(), 0);
        for row in self.open_turns.open()?.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(
                self.quarantine
                    .inspect(session, || RecordLocation::Turn(position), turn),
            );
            next = position.saturating_add(1);
        }
        Ok((turns, next))
    }

    /// Returns every open turn, except damaged ones.
    pub(crate) fn all_open_turns(&self) -> CommandResult<Vec<OpenTurn>> {
        let mut turns = Vec::new();
        for row in self.open_turns.open()?.iter()? {
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(
                self.quarantine
                    .inspect(session, || RecordLocation::Turn(position), turn),
            );
        }
        Ok(turns)
    }

    pub(crate) fn put_turn(&mut self, turn: &OpenTurn) -> CommandResult<()> {
        let bytes = internal(record::encode_turn(turn))?;
        let (session, position) = (turn.session_id, turn.position);
        let location = RecordLocation::Turn(position);
        let has_waited = self.record_bytes(session, &location)?.is_some_and(|bytes| {
            let before = record::decode_turn(session, position, &bytes);
            before.is_ok_and(|turn| turn.waits_until.is_some())
        });
        self.put_record(session, &location, &bytes)?;
        if turn.waits_until.is_some() {
            return self.begin_waiting(session, turn.message_at);
        }
        if has_waited {
            return self.end_waiting(session, turn.message_at, ClosedReason::Cancelled);
        }
        Ok(())
    }

    /// Removes an open turn that has ended, and publishes that.
    pub(crate) fn end_turn(
        &mut self,
        turn: &OpenTurn,
        is_last: bool,
        reason: ClosedReason,
    ) -> CommandResult<()> {
        self.effects.dirty = true;
        let key = (turn.session_id.into(), turn.position);
        self.open_turns.open_mut()?.remove(key)?;
        if turn.waits_until.is_some() {
            self.end_waiting(turn.session_id, turn.message_at, reason)?;
        }
        self.publish(turn.session_id, Event::TurnEnded);
        if is_last {
            self.publish(turn.session_id, Event::Idle);
        }
        Ok(())
    }

    /// Removes all of a session's open turns; returns how many there were. The session and its
    /// messages must still be stored.
    pub(crate) fn remove_turns(
        &mut self,
        session: SessionId,
        reason: ClosedReason,
    ) -> CommandResult<usize> {
        let id = u128::from(session);
        let turns = self.open_turns(session)?;
        for turn in turns.iter().filter(|turn| turn.waits_until.is_some()) {
            self.end_waiting(session, turn.message_at, reason)?;
        }
        let mut removed = 0;
        let range = (id, 0)..=(id, u32::MAX);
        for row in self
            .open_turns
            .open_mut()?
            .extract_from_if(range, |_, _| true)?
        {
            row?;
            removed += 1;
        }
        self.effects.dirty |= removed > 0;
        if removed > turns.len() {
            // Whether damaged ones waited is unknown.
            self.repair_waiting_turns(&HashSet::from([session]))?;
        }
        Ok(removed)
    }
}
