//! The life cycle of an open turn.

use std::sync::Arc;

use super::apply::Apply;
use super::update_metadata::set_metadata;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnFailure, TurnState};
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::Timestamp;
use crate::domain::turn::{BeginOutcome, CloseOutcome, OpenTurn, ParkOutcome, Reply};
use crate::domain::waiting::ClosedReason;
use crate::events::Event;
use crate::session_json::merged_metadata;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Records that the agent is about to be asked.
#[derive(Debug)]
pub struct BeginTurn(pub OpenTurn);

/// Records that a turn waits for a submitted reply.
#[derive(Debug)]
pub struct ParkTurn {
    /// The session.
    pub session_id: SessionId,
    /// The time of the user's message.
    pub message_at: Timestamp,
    /// When the wait ends.
    pub until: Timestamp,
}

/// Closes a turn with the agent's reply, or with a failure.
#[derive(Debug)]
pub struct CloseTurn {
    /// The session.
    pub session_id: SessionId,
    /// The time of the user's message.
    pub message_at: Timestamp,
    /// The reply, or why there is none.
    pub result: Result<Reply, TurnFailure>,
    /// The streamed part of an incomplete reply, for the listeners.
    pub partial: Option<String>,
}

/// Closes the turns of an expired session that have not begun, and publishes its expiry. This is a
/// command so that the event precedes those of all turns that end later.
#[derive(Debug)]
pub struct Expire(pub SessionId);

impl Apply for BeginTurn {
    type Output = BeginOutcome;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<BeginOutcome> {
        let Self(requested) = self;
        let turns = txn.open_turns(requested.session_id)?;
        let found = turns
            .iter()
            .find(|turn| turn.message_at == requested.message_at);
        let (Some(turn), Some(session)) = (found, txn.session(requested.session_id)?) else {
            return Ok(BeginOutcome::Gone);
        };
        let expired = session.life_stage(txn.now, txn.rules.retention) != LifeStage::Active;
        let failure = if turn.is_exhausted() {
            TurnFailure::crashed_too_often()
        } else if expired && !turn.begun {
            TurnFailure::session_expired()
        } else {
            let begun = OpenTurn {
                begun: true,
                running: true,
                waits_until: None,
                ..turn.clone()
            };
            txn.put_turn(&begun)?;
            return Ok(BeginOutcome::Now);
        };
        let is_last = turns.len() == 1;
        close(txn, &session, turn, is_last, Err(failure.clone()), None)?;
        Ok(BeginOutcome::Closed(failure))
    }
}

impl Apply for ParkTurn {
    type Output = ParkOutcome;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<ParkOutcome> {
        let turns = txn.open_turns(self.session_id)?;
        let found = turns.iter().find(|turn| turn.message_at == self.message_at);
        let Some(turn) = found else {
            return Ok(ParkOutcome::Gone);
        };
        txn.put_turn(&OpenTurn {
            begun: true,
            running: false,
            waits_until: Some(self.until),
            ..turn.clone()
        })?;
        Ok(ParkOutcome::Waiting)
    }
}

impl Apply for CloseTurn {
    type Output = CloseOutcome;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<CloseOutcome> {
        let turns = txn.open_turns(self.session_id)?;
        let found = turns.iter().find(|turn| turn.message_at == self.message_at);
        let (Some(turn), Some(session)) = (found, txn.session(self.session_id)?) else {
            return already_closed(txn, self.session_id, self.message_at);
        };
        let is_last = turns.len() == 1;
        close(txn, &session, turn, is_last, self.result, self.partial)
    }
}

impl Apply for Expire {
    /// The messages whose turns were closed.
    type Output = Vec<MessageId>;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Vec<MessageId>> {
        let Some(session) = txn.session(self.0)? else {
            return Ok(Vec::new());
        };
        if session.life_stage(txn.now, txn.rules.retention) == LifeStage::Active {
            return Ok(Vec::new());
        }
        let turns = txn.open_turns(session.id)?;
        let mut left = turns.len();
        let mut closed = Vec::new();
        for turn in turns.iter().filter(|turn| !turn.begun) {
            let message = txn.undamaged_message(session.id, turn.message_at)?;
            let message_id = message.map(|message| message.id);
            let failure = TurnFailure::session_expired();
            close(txn, &session, turn, left == 1, Err(failure), None)?;
            closed.extend(message_id);
            left -= 1;
        }
        let expired = Event::Expired {
            expired_at: session.expires_at,
            has_turns: left > 0,
        };
        txn.publish(session.id, expired);
        Ok(closed)
    }
}

/// Closes a turn in the transaction that stores its result.
fn close(
    txn: &mut Txn<'_>,
    session: &Session,
    turn: &OpenTurn,
    is_last: bool,
    result: Result<Reply, TurnFailure>,
    partial: Option<String>,
) -> CommandResult<CloseOutcome> {
    let mut closed = CloseOutcome::Gone;
    let mut reason = ClosedReason::Cancelled;
    if let Some(mut message) = txn.undamaged_message(session.id, turn.message_at)?
        && let Role::User { reply_id, .. } = message.role
    {
        closed = match result {
            Ok(reply) => {
                CloseOutcome::Replied(answer(txn, session, &mut message, reply_id, reply)?)
            }
            Err(failure) => {
                fail(txn, session, &mut message, failure.clone(), partial);
                CloseOutcome::Failed(failure)
            }
        };
        reason = message.turn().map_or(reason, ClosedReason::from_state);
        txn.put_message(&message)?;
    }
    // Also without its message, so that later turns do not wait forever.
    txn.end_turn(turn, is_last, reason)?;
    Ok(closed)
}

/// Stores the reply to a message, publishes it, and marks the message's turn as replied. The caller
/// stores the message.
pub(super) fn answer(
    txn: &mut Txn<'_>,
    session: &Session,
    message: &mut Message,
    reply_id: MessageId,
    mut reply: Reply,
) -> CommandResult<Arc<Message>> {
    let patch = reply.session_metadata.take();
    let reply = store_reply(txn, session, reply_id, Some(message.id), reply)?;
    if let Role::User { turn, .. } = &mut message.role {
        *turn = TurnState::Replied(reply.created_at);
    }
    let mut session = session.clone();
    merge_metadata(txn, &mut session, patch.as_deref())?;
    publish_message(txn, &session, &reply);
    Ok(reply)
}

/// Marks a message's turn as failed and publishes that. The caller stores the message.
pub(super) fn fail(
    txn: &mut Txn<'_>,
    session: &Session,
    message: &mut Message,
    failure: TurnFailure,
    partial: Option<String>,
) {
    let Role::User { reply_id, turn, .. } = &mut message.role else {
        return;
    };
    *turn = TurnState::Failed(failure.clone());
    let failed = Event::TurnFailed {
        reply_id: *reply_id,
        agent_id: session.agent_id,
        failure,
        partial,
    };
    txn.publish(session.id, failed);
}

/// Merges the session metadata of an agent's reply. What does not fit is left out and logged, since
/// the reply is still useful.
fn merge_metadata(
    txn: &mut Txn<'_>,
    session: &mut Session,
    patch: Option<&str>,
) -> CommandResult<()> {
    let Some(patch) = patch else {
        return Ok(());
    };
    match merged_metadata(&session.metadata, patch) {
        Ok(Some(metadata)) => set_metadata(txn, session, metadata)?,
        Ok(None) => {}
        Err(invalid) => {
            let (id, agent) = (session.id, session.agent_id);
            let reason = invalid.reason();
            tracing::warn!(
                session = %id, %agent, part = "sessionMetadata", reason,
                "a part of an agent's reply cannot be stored and is dropped"
            );
        }
    }
    Ok(())
}

/// Stores a message of the agent.
pub(super) fn store_reply(
    txn: &mut Txn<'_>,
    session: &Session,
    id: MessageId,
    in_reply_to: Option<MessageId>,
    reply: Reply,
) -> CommandResult<Arc<Message>> {
    let message = Arc::new(Message {
        id,
        session_id: session.id,
        author_id: session.agent_id.0,
        created_at: txn.next_message_at(session.id)?,
        body: reply.body,
        role: Role::Agent {
            in_reply_to,
            thought: reply.thought,
            actions: reply.actions,
        },
    });
    txn.put_message(&message)?;
    Ok(message)
}

pub(super) fn publish_message(txn: &mut Txn<'_>, session: &Session, message: &Arc<Message>) {
    let stored = Event::MessageStored {
        session: Arc::new(session.clone()),
        message: Arc::clone(message),
        sent_by: None,
    };
    txn.publish(session.id, stored);
}

/// Returns how a closed turn ended: a close whose answer was lost may be repeated.
fn already_closed(
    txn: &Txn<'_>,
    session: SessionId,
    message_at: Timestamp,
) -> CommandResult<CloseOutcome> {
    let Some(message) = txn.message(session, message_at)? else {
        return Ok(CloseOutcome::Gone);
    };
    match message.role {
        Role::User {
            turn: TurnState::Replied(at),
            ..
        } => Ok(txn
            .message(session, at)?
            .map_or(CloseOutcome::Gone, |reply| {
                CloseOutcome::Replied(Arc::new(reply))
            })),
        Role::User {
            turn: TurnState::Failed(failure),
            ..
        } => Ok(CloseOutcome::Failed(failure)),
        _ => Ok(CloseOutcome::Gone),
    }
}
