//! The index of the turns that wait for a submitted reply, by their agent.

use std::collections::HashSet;

use redb::ReadableTable as _;

use super::Txn;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::{ClosedReason, TurnSelector, WaitingPosition};
use crate::events::work::{WorkChange, WorkEvent};
use crate::message_json;
use crate::store::error::{CommandError, CommandResult};
use crate::store::schema::record;
use crate::store::schema::tables::waiting_position;

/// How many messages are searched for a turn that is not open.
const MAX_SEARCHED: usize = 1000;

/// A message is stored shortly after its id was generated, or before if the clock steps back.
const CLOCK_SLACK_MS: i64 = 60_000;

impl Txn<'_> {
    /// Adds the row of a turn that waits from now on.
    pub(super) fn begin_waiting(
        &mut self,
        session: SessionId,
        message_at: Timestamp,
    ) -> CommandResult<()> {
        let Some(agent) = self.agent_of(session)? else {
            return Ok(());
        };
        let key = (agent.into(), message_at.0, session.into());
        self.effects.dirty = true;
        if self.waiting_turns.open_mut()?.insert(key, ())?.is_none() {
            self.effects.work.push(WorkEvent {
                agent_id: agent,
                position: waiting_position(key),
                change: WorkChange::Waits,
            });
        }
        Ok(())
    }

    /// Removes the row of a turn that no longer waits.
    pub(super) fn end_waiting(
        &mut self,
        session: SessionId,
        message_at: Timestamp,
        reason: ClosedReason,
    ) -> CommandResult<()> {
        let Some(agent) = self.agent_of(session)? else {
            return Ok(());
        };
        let position = WaitingPosition {
            message_at,
            session_id: session,
        };
        self.remove_waiting_row(agent, position, reason)
    }

    /// Removes the rows of these sessions that belong to no waiting turn. This reads the whole index,
    /// so it is only for damaged records, whose rows are unknown.
    pub(crate) fn repair_waiting_turns(
        &mut self,
        sessions: &HashSet<SessionId>,
    ) -> CommandResult<()> {
        let mut rows = Vec::new();
        for row in self.waiting_turns.open()?.iter()? {
            let key = row?.0.value();
            let position = waiting_position(key);
            if sessions.contains(&position.session_id) && !self.is_waiting(position)? {
                rows.push((AgentId::from(key.0), position));
            }
        }
        for (agent, position) in rows {
            self.remove_waiting_row(agent, position, ClosedReason::Cancelled)?;
        }
        Ok(())
    }

    /// Returns why no selected turn waits for a submitted reply.
    pub(crate) fn closed_reason(
        &self,
        session: SessionId,
        selector: TurnSelector,
    ) -> CommandResult<ClosedReason> {
        let message = self.selected_message(session, selector)?;
        let state = message.as_ref().and_then(Message::turn);
        Ok(state.map_or(ClosedReason::Deleted, ClosedReason::from_state))
    }

    /// Returns the user's message whose turn a client cancelled, if it is this one.
    pub(crate) fn cancelled_message(
        &self,
        session: SessionId,
        id: MessageId,
    ) -> CommandResult<Option<Message>> {
        let message = self.selected_message(session, TurnSelector::Message(id))?;
        let is_cancelled = match message.as_ref().and_then(Message::turn) {
            Some(TurnState::Failed(failure)) => failure.reason == Some(FailureReason::Cancelled),
            Some(TurnState::Replied(at)) => {
                let reply = self.undamaged_message(session, *at)?;
                reply.is_some_and(|reply| message_json::is_interrupted(&reply.body))
            }
            Some(TurnState::Open | TurnState::Copied) | None => false,
        };
        Ok(message.filter(|_| is_cancelled))
    }

    /// Returns the message of a selected turn: the newest one, if all that wait are selected.
    fn selected_message(
        &self,
        session: SessionId,
        selector: TurnSelector,
    ) -> CommandResult<Option<Message>> {
        let id = u128::from(session);
        let named = match selector {
            TurnSelector::Turn(turn_id) => Some(turn_id.0),
            TurnSelector::Message(message_id) => Some(message_id.0),
            TurnSelector::Waiting => None,
        };
        let is_selected = |message: &Message<&str>| match (&message.role, selector) {
            (Role::User { turn_id, .. }, TurnSelector::Turn(selected)) => *turn_id == selected,
            (Role::User { .. }, TurnSelector::Message(selected)) => message.id == selected,
            (Role::User { .. }, TurnSelector::Waiting) => true,
            (Role::Agent { .. }, _) => false,
        };
        let from = named.map_or(i64::MIN, earliest_storage);
        let messages = self.messages.open()?;
        let mut forward = messages.range((id, from)..=(id, i64::MAX))?;
        for _ in 0..MAX_SEARCHED {
            let row = match named {
                Some(_) => forward.next(),
                // The newest one.
                None => forward.next_back(),
            };
            let Some((key, bytes)) = row.transpose()? else {
                break;
            };
            let at = Timestamp(key.value().1);
            if let Ok(message) = record::borrow_message(session, at, bytes.value())
                && is_selected(&message)
            {
                return Ok(Some(message.into_owned()));
            }
        }
        Ok(None)
    }

    fn remove_waiting_row(
        &mut self,
        agent_id: AgentId,
        position: WaitingPosition,
        reason: ClosedReason,
    ) -> CommandResult<()> {
        let WaitingPosition {
            message_at,
            session_id,
        } = position;
        let key = (agent_id.into(), message_at.0, session_id.into());
        if self.waiting_turns.open_mut()?.remove(key)?.is_none() {
            return Ok(());
        }
        self.effects.dirty = true;
        let message = self.undamaged_message(session_id, message_at)?;
        if let Some(Message {
            id: message_id,
            role: Role::User { turn_id, .. },
            ..
        }) = message
        {
            self.effects.work.push(WorkEvent {
                agent_id,
                position,
                change: WorkChange::Closed {
                    turn_id,
                    message_id,
                    reason,
                },
            });
        }
        Ok(())
    }

    /// Returns the agent of a session; `None` if there is no session or its record is damaged. The
    /// rows of a damaged one are removed when it is quarantined.
    fn agent_of(&self, session: SessionId) -> CommandResult<Option<AgentId>> {
        match self.session(session) {
            Ok(session) => Ok(session.map(|session| session.agent_id)),
            Err(CommandError::Record(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_waiting(&self, position: WaitingPosition) -> CommandResult<bool> {
        let id = u128::from(position.session_id);
        if self.sessions.get(id)?.is_none() {
            return Ok(false);
        }
        for row in self.open_turns.open()?.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let turn = record::decode_turn(position.session_id, key.value().1, bytes.value());
            let is_it = |turn: OpenTurn| {
                turn.message_at == position.message_at && turn.waits_until.is_some()
            };
            if turn.is_ok_and(is_it) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the earliest time at which the message of an id can be stored.
fn earliest_storage(id: uuid::Uuid) -> i64 {
    let Some(made_at) = id.get_timestamp() else {
        return i64::MIN;
    };
    let (seconds, nanos) = made_at.to_unix();
    let millis = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000))
        .map(|millis| millis.saturating_add(i64::from(nanos / 1_000_000)));
    millis.map_or(i64::MIN, |millis| millis.saturating_sub(CLOCK_SLACK_MS))
}
