//! Open turns.

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Result, Txn, whole};
use crate::domain::id::SessionId;
use crate::domain::turn::OpenTurn;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::record;

impl Txn<'_> {
    /// How many turns are open in all.
    pub(in crate::store) fn open_turn_count(&self) -> Result<u64> {
        Ok(self.open_turns.open()?.len()?)
    }

    /// The session's open turns, in the order of running; damaged ones are left out.
    pub(in crate::store) fn open_turns(&self, session: SessionId) -> Result<Vec<OpenTurn>> {
        Ok(self.open_turns_and_next(session)?.0)
    }

    /// The same, and the place behind all of them, the damaged ones too.
    pub(in crate::store) fn open_turns_and_next(
        &self,
        session: SessionId,
    ) -> Result<(Vec<OpenTurn>, u32)> {
        let id = u128::from(session);
        let (mut turns, mut next) = (Vec::new(), 0);
        for row in self.open_turns.open()?.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(self.noted(session, || RecordLocation::Turn(position), turn));
            next = position.saturating_add(1);
        }
        Ok((turns, next))
    }

    /// Every open turn; damaged ones are left out.
    pub(in crate::store) fn all_open_turns(&self) -> Result<Vec<OpenTurn>> {
        let mut turns = Vec::new();
        for row in self.open_turns.open()?.iter()? {
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(self.noted(session, || RecordLocation::Turn(position), turn));
        }
        Ok(turns)
    }

    pub(in crate::store) fn put_turn(&mut self, turn: &OpenTurn) -> Result<()> {
        let bytes = whole(record::encode_turn(turn))?;
        self.writes(&bytes);
        let key = (turn.session_id.into(), turn.position);
        self.open_turns.open_mut()?.insert(key, bytes.as_slice())?;
        Ok(())
    }

    pub(in crate::store) fn remove_turn(&mut self, turn: &OpenTurn) -> Result<()> {
        self.dirty = true;
        self.open_turns
            .open_mut()?
            .remove((turn.session_id.into(), turn.position))?;
        Ok(())
    }

    /// Removes all of a session's open turns; returns how many.
    pub(in crate::store) fn remove_turns(&mut self, session: SessionId) -> Result<usize> {
        let id = u128::from(session);
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
        self.dirty |= removed > 0;
        Ok(removed)
    }
}
