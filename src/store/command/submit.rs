//! Storing a reply that an external agent submits.

use std::sync::Arc;

use super::apply::{Apply, conflict};
use super::turn::{publish_message, store_reply};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::turn::{OpenTurn, Reply};
use crate::events::Event;
use crate::json;
use crate::message_json;
use crate::store::error::CommandResult;
use crate::store::quarantine::location::KeyKind;
use crate::store::write::txn::Txn;

/// Stores a submitted reply, which closes the turns that it answers, or finds the reply that has
/// the same key.
#[derive(Debug)]
pub struct SubmitReply {
    /// The session.
    pub session_id: SessionId,
    /// The user's message that it answers; none for all whose turns wait.
    pub in_reply_to: Option<MessageId>,
    /// The id of the reply, if it closes no turn.
    pub message_id: MessageId,
    /// The content.
    pub reply: Reply,
    /// The idempotency key within the session.
    pub key: Option<IdempotencyKey>,
    /// Whether submitted replies close the turns of the session's agent.
    pub closes_turns: bool,
    /// Whether its text is also published as a chunk: not if chunks were published before.
    pub publishes_chunk: bool,
}

/// A submitted reply that was stored, now or before.
#[derive(Debug)]
pub struct Submitted {
    /// The session.
    pub session: Session,
    /// The reply.
    pub message: Message,
    /// Whether an earlier command with the same key stored it.
    pub replayed: bool,
    /// The user's messages whose turns were closed.
    pub closed: Vec<MessageId>,
}

/// A turn to close, with its message.
struct Answered {
    turn: OpenTurn,
    message: Message,
    reply_id: MessageId,
}

impl Apply for SubmitReply {
    type Output = Submitted;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Submitted> {
        let session = txn.retained_session(self.session_id)?;
        if let Some(key) = &self.key
            && let Some(earlier) = txn.message_of_key(KeyKind::Submit, session.id, key)?
        {
            if !has_same_content(&self.reply, &earlier) {
                return Err(conflict(key));
            }
            return Ok(Submitted {
                session,
                message: earlier,
                replayed: true,
                closed: Vec::new(),
            });
        }
        let turns = txn.open_turns(session.id)?;
        let answered = self.answered(txn, &turns)?;
        if answered.is_empty() {
            session.require_active(txn.now, txn.rules.retention)?;
            // A reply that closes a turn is always stored; this one is as new as a sent message.
            txn.require_free_space()?;
        }
        self.store(txn, session, answered, turns.len())
    }
}

impl SubmitReply {
    /// Returns the turns that the reply closes, the newest last.
    fn answered(&self, txn: &Txn<'_>, turns: &[OpenTurn]) -> CommandResult<Vec<Answered>> {
        let mut answered = Vec::new();
        if !self.closes_turns {
            return Ok(answered);
        }
        for turn in turns.iter().filter(|turn| turn.begun) {
            let Some(message) = txn.undamaged_message(turn.session_id, turn.message_at)? else {
                continue;
            };
            let Role::User { reply_id, .. } = message.role else {
                continue;
            };
            let is_answered = match self.in_reply_to {
                Some(id) => message.id == id,
                None => turn.waits_until.is_some(),
            };
            if is_answered {
                answered.push(Answered {
                    turn: turn.clone(),
                    message,
                    reply_id,
                });
            }
        }
        // A reopened turn runs after those of later messages.
        answered.sort_by_key(|answered| answered.message.created_at);
        Ok(answered)
    }

    fn store(
        self,
        txn: &mut Txn<'_>,
        session: Session,
        answered: Vec<Answered>,
        open_turns: usize,
    ) -> CommandResult<Submitted> {
        let newest = answered.last();
        let id = newest.map_or(self.message_id, |newest| newest.reply_id);
        let in_reply_to = newest.map(|newest| newest.message.id).or(self.in_reply_to);
        let reply = store_reply(txn, &session, id, in_reply_to, self.reply)?;
        if let Some(key) = &self.key {
            txn.put_key(KeyKind::Submit, session.id, key, reply.created_at)?;
        }
        if self.publishes_chunk && newest.is_some() && !reply.body.content.is_empty() {
            let chunk = Event::ReplyChunk {
                reply_id: reply.id,
                agent_id: session.agent_id,
                index: 0,
                text: reply.body.content.as_str().into(),
            };
            txn.publish(session.id, chunk);
        }
        publish_message(txn, &session, &reply);
        let mut left = open_turns;
        let mut closed = Vec::with_capacity(answered.len());
        for mut answered in answered {
            if let Role::User { turn, .. } = &mut answered.message.role {
                *turn = TurnState::Replied(reply.created_at);
            }
            txn.put_message(&answered.message)?;
            left -= 1;
            txn.end_turn(&answered.turn, left == 0)?;
            closed.push(answered.message.id);
        }
        Ok(Submitted {
            session,
            message: Arc::unwrap_or_clone(reply),
            replayed: false,
            closed,
        })
    }
}

fn has_same_content(reply: &Reply, stored: &Message) -> bool {
    let Role::Agent {
        thought, actions, ..
    } = &stored.role
    else {
        return false;
    };
    message_json::has_same_content(&reply.body, &stored.body)
        && reply.thought == *thought
        && json::is_same(reply.actions.as_deref(), actions.as_deref())
}
