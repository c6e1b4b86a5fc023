//! Storing a reply that an external agent submits.

use std::sync::Arc;

use super::apply::{Apply, conflict};
use super::turn::{publish_message, store_reply};
use super::turn_selection::{self, SelectedTurn};
use super::update_metadata::{refusal, set_metadata};
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::turn::Reply;
use crate::domain::waiting::{ClosedReason, TurnSelector};
use crate::events::Event;
use crate::json;
use crate::message_json;
use crate::session_json::{merged_metadata, metadata_digest};
use crate::store::error::CommandResult;
use crate::store::schema::record::SubmitClaim;
use crate::store::write::txn::Txn;

/// Stores a submitted reply, which closes the turns that it answers, or finds the reply that has
/// the same key.
#[derive(Debug)]
pub struct SubmitReply {
    /// The session.
    pub session_id: SessionId,
    /// The turn that it closes: exactly this one, or none. It overrides `in_reply_to`.
    pub turn_id: Option<TurnId>,
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
    /// The message to which a part of a reply was sent before. A reply to any other one is also
    /// published as a chunk.
    pub partly_answered: Option<MessageId>,
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

impl Apply for SubmitReply {
    type Output = Submitted;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Submitted> {
        let session = txn.retained_session(self.session_id)?;
        let turns = txn.open_turns(session.id)?;
        let selector = TurnSelector::new(self.turn_id, self.in_reply_to);
        let answered = if self.closes_turns {
            turn_selection::select(txn, &turns, selector)?
        } else {
            Vec::new()
        };
        if let Some(key) = &self.key
            && let Some(claim) = txn.submit_claim(session.id, key)?
            && !turn_selection::is_reopened(&claim, selector, &answered)
        {
            let SubmitClaim::Reply(at, metadata) = claim else {
                return Err(conflict(key));
            };
            if let Some(earlier) = txn.message(session.id, at)? {
                if metadata != self.metadata_digest() {
                    return Err(conflict(key));
                }
                return repeat(session, earlier, &self.reply, key);
            }
        }
        if answered.is_empty() {
            if self.turn_id.is_some() {
                return Err(turn_selection::refusal(txn, session.id, selector)?.into());
            }
            session.require_active(txn.now, txn.rules.retention)?;
            if let Some(cancelled) = turn_selection::cancelled(txn, session.id, selector)? {
                return Err(cancelled.into());
            }
            // A reply that closes a turn is always stored; this one is as new as a sent message.
            txn.require_free_space()?;
        }
        let merged = match &self.reply.session_metadata {
            None => None,
            Some(patch) => {
                merged_metadata(&session.metadata, patch).map_err(|invalid| refusal(&invalid))?
            }
        };
        self.store(txn, session, merged, answered, turns.len())
    }
}

impl SubmitReply {
    fn metadata_digest(&self) -> Option<RequestDigest> {
        self.reply.session_metadata.as_deref().map(metadata_digest)
    }

    /// Stores the reply. `merged` is the session's metadata with that of the reply, if it changes.
    fn store(
        self,
        txn: &mut Txn<'_>,
        mut session: Session,
        merged: Option<String>,
        answered: Vec<SelectedTurn>,
        open_turns: usize,
    ) -> CommandResult<Submitted> {
        let newest = answered.last();
        let id = newest.map_or(self.message_id, |newest| newest.reply_id);
        let in_reply_to = newest.map(|newest| newest.message.id).or(self.in_reply_to);
        let digest = self.metadata_digest();
        let reply = store_reply(txn, &session, id, in_reply_to, self.reply)?;
        if let Some(key) = &self.key {
            txn.put_submitted_reply(session.id, key, reply.created_at, digest)?;
        }
        if let Some(metadata) = merged {
            set_metadata(txn, &mut session, metadata)?;
        }
        let is_new = newest.is_some_and(|it| Some(it.message.id) != self.partly_answered);
        if is_new && !reply.body.content.is_empty() {
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
            txn.end_turn(&answered.turn, left == 0, ClosedReason::Answered)?;
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

/// Returns the reply that was stored under the key, if it has the same content.
fn repeat(
    session: Session,
    earlier: Message,
    reply: &Reply,
    key: &IdempotencyKey,
) -> CommandResult<Submitted> {
    if !has_same_content(reply, &earlier) {
        return Err(conflict(key));
    }
    Ok(Submitted {
        session,
        message: earlier,
        replayed: true,
        closed: Vec::new(),
    })
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
