//! The copy of another session's messages with which a new session begins.

use std::collections::{HashMap, HashSet};
use std::fmt;

use uuid::Uuid;

use crate::domain::continued::{
    ContinueFrom, ContinuedFrom, MAX_COPIED_BYTES, MAX_COPIED_MESSAGES,
};
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Which messages a new session copies.
#[derive(Debug)]
pub struct Continuation {
    /// The source, as requested.
    pub from: ContinueFrom,
    /// When the requested last message was stored; `None` if none was requested, or it was not
    /// found.
    pub up_to_at: Option<Timestamp>,
    /// The ids of the copies. How many are needed is known only when the source is read.
    pub ids: NewIds,
}

/// Returns a new id at each call.
pub struct NewIds(pub Box<dyn FnMut() -> Uuid + Send>);

impl fmt::Debug for NewIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewIds(..)")
    }
}

impl Continuation {
    /// Checks that the source can be continued, and has the requested message.
    pub(super) fn check(&self, txn: &Txn<'_>, owner: (UserId, AgentId)) -> CommandResult<()> {
        let id = self.from.session_id;
        let source = txn.session(id)?;
        let retention = txn.rules.retention;
        if !source.is_some_and(|source| source.can_be_continued(owner, txn.now, retention)) {
            return Err(RuleViolation::SessionNotFound(id).into());
        }
        let Some(wanted) = self.from.up_to else {
            return Ok(());
        };
        let found = match self.up_to_at {
            Some(at) => txn.undamaged_message(id, at)?,
            None => None,
        };
        if found.is_some_and(|message| message.id == wanted) {
            return Ok(());
        }
        Err(RuleViolation::MessageNotFound(wanted).into())
    }

    /// Returns the copies for a new session, oldest first, and what it is to know about them.
    pub(super) fn read(
        mut self,
        txn: &Txn<'_>,
        target: SessionId,
    ) -> CommandResult<(Vec<Message>, ContinuedFrom)> {
        let source = self.from.session_id;
        let until = self.up_to_at.unwrap_or(Timestamp::MAX);
        let limits = (MAX_COPIED_MESSAGES, MAX_COPIED_BYTES);
        let (messages, complete) = txn.newest_messages(source, until, limits)?;
        let continued = ContinuedFrom {
            session_id: source,
            message_id: messages.last().map(|message| message.id),
            copied: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            complete,
        };
        Ok((copies(messages, target, &mut self.ids), continued))
    }
}

/// Returns copies of a session's messages under new ids. What refers to a message that is not among
/// them is left out.
fn copies(messages: Vec<Message>, target: SessionId, ids: &mut NewIds) -> Vec<Message> {
    let mut new_ids: HashMap<MessageId, MessageId> = HashMap::new();
    for message in &messages {
        new_ids.insert(message.id, MessageId((ids.0)()));
    }
    let answered = answered(&messages);
    let copied = messages.into_iter().map(|message| {
        let role = match message.role {
            Role::User {
                reply_id,
                sender,
                turn,
                ..
            } => Role::User {
                turn_id: TurnId((ids.0)()),
                // The id of its reply, if that has it.
                reply_id: *new_ids
                    .entry(reply_id)
                    .or_insert_with(|| MessageId((ids.0)())),
                sender,
                turn: match turn {
                    TurnState::Failed(failure) => TurnState::Failed(failure),
                    TurnState::Replied(at) if answered.contains(&message.created_at) => {
                        TurnState::Replied(at)
                    }
                    _ => TurnState::Copied,
                },
            },
            Role::Agent {
                in_reply_to,
                thought,
                actions,
            } => Role::Agent {
                in_reply_to: in_reply_to.and_then(|id| new_ids.get(&id).copied()),
                thought,
                actions,
            },
        };
        Message {
            id: new_ids[&message.id],
            session_id: target,
            role,
            ..message
        }
    });
    copied.collect()
}

/// Returns the times of the messages whose reply is among them. A reply to several messages names
/// the newest of them, which must be there too.
fn answered(messages: &[Message]) -> HashSet<Timestamp> {
    let ids: HashSet<_> = messages.iter().map(|message| message.id).collect();
    let replies = messages.iter().filter_map(|message| match &message.role {
        Role::Agent {
            in_reply_to: Some(id),
            ..
        } if ids.contains(id) => Some(message.created_at),
        _ => None,
    });
    let replies: HashSet<_> = replies.collect();
    let answered = messages.iter().filter_map(|message| match message.turn() {
        Some(TurnState::Replied(at)) if replies.contains(at) => Some(message.created_at),
        _ => None,
    });
    answered.collect()
}
