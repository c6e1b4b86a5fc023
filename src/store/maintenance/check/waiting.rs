//! The index of the turns that wait for a submitted reply.

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::Check;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::WaitingPosition;
use crate::store::error::ReadResult;
use crate::store::schema::record;
use crate::store::schema::tables::waiting_position;

impl Check<'_> {
    /// Reports a waiting turn that has no row; returns whether it has one.
    pub(super) fn has_waiting_row(&mut self, turn: &OpenTurn) -> ReadResult<bool> {
        if turn.waits_until.is_none() {
            return Ok(false);
        }
        let (session, at) = (turn.session_id, turn.message_at);
        // The agent of a damaged session is unknown.
        let Some(Ok(stored)) = self.tables.session(session)? else {
            return Ok(false);
        };
        let key = (stored.agent_id.into(), at.0, session.into());
        let has_row = self.tables.waiting_turns.get(key)?.is_some();
        if !has_row {
            self.fault(format!("waiting_turns: ({session}, {at}) has no row"));
        }
        Ok(has_row)
    }

    /// Reports rows that belong to no waiting turn. `indexed` turns have a row.
    pub(super) fn waiting_turns(&mut self, indexed: u64) -> ReadResult<()> {
        let rows = self.tables.waiting_turns.len()?;
        if rows == indexed {
            self.skip(rows);
            return Ok(());
        }
        for row in self.tables.waiting_turns.iter()? {
            self.step();
            let key = row?.0.value();
            let position = waiting_position(key);
            let agent_fits = self.tables.has_session(position.session_id, |session| {
                u128::from(session.agent_id) == key.0
            })?;
            if !agent_fits || !self.may_wait(position)? {
                let (session, at) = (position.session_id, position.message_at);
                self.fault(format!(
                    "waiting_turns: the row ({session}, {at}) has no turn"
                ));
            }
        }
        Ok(())
    }

    /// Whether a turn waits. For a damaged one this is unknown and counts as true.
    fn may_wait(&self, position: WaitingPosition) -> ReadResult<bool> {
        let id = u128::from(position.session_id);
        for row in self.tables.open_turns.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let turn = record::decode_turn(position.session_id, key.value().1, bytes.value());
            let is_it = |turn: OpenTurn| {
                turn.message_at == position.message_at && turn.waits_until.is_some()
            };
            if turn.map_or(true, is_it) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
