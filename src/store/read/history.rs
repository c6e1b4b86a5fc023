//! Reading the conversation before one of a session's messages.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Reader;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;

/// The number of messages beyond the limit that may be read to find where replies belong.
const MAX_EXTRA_MESSAGES: usize = 64;

impl Reader<'_> {
    /// Returns up to `limit` of the newest messages before one of the user's, oldest first, except
    /// damaged ones.
    ///
    /// A reply follows the message that it answers, or the newest of several, even if it was stored
    /// after later messages, or after the given one. Messages that the agent sent on its own stay
    /// at their time.
    pub(crate) fn messages_before(
        &self,
        session: SessionId,
        message_at: Timestamp,
        limit: usize,
    ) -> ReadResult<Vec<Message>> {
        let id = u128::from(session);
        let mut history = Backwards::default();
        let messages = &self.snapshot.messages;
        for row in messages.range((id, i64::MIN)..(id, message_at.0))?.rev() {
            if history.has(limit) {
                break;
            }
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            let Ok(message) = self.decode_message(session, at, bytes.value()) else {
                continue;
            };
            if message.is_agent() {
                history.push_reply(message);
                continue;
            }
            history.settle(&message);
            if let Some(reply) = history.later_reply(&message, message_at)
                && let Some(reply) = self.undamaged_message(session, reply)?
            {
                history.messages.push(Some(reply));
            }
            history.messages.push(Some(message));
        }
        Ok(history.into_newest(limit))
    }

    /// Returns the text of up to `limit` of the newest messages of the user before one of them,
    /// oldest first, except damaged ones. Nothing else is copied.
    pub(crate) fn statements_before(
        &self,
        session: SessionId,
        message_at: Timestamp,
        limit: usize,
    ) -> ReadResult<Vec<String>> {
        let id = u128::from(session);
        let mut found = Vec::new();
        let messages = &self.snapshot.messages;
        for row in messages.range((id, i64::MIN)..(id, message_at.0))?.rev() {
            if found.len() >= limit {
                break;
            }
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            let message = self.borrow_message(session, at, bytes.value());
            if let Some(message) = message.ok().filter(|message| !message.is_agent()) {
                found.push(message.body.content.to_owned());
            }
        }
        found.reverse();
        Ok(found)
    }
}

fn replied_at(message: &Message) -> Option<Timestamp> {
    match message.role {
        Role::User {
            turn: TurnState::Replied(at),
            ..
        } => Some(at),
        _ => None,
    }
}

/// Messages that are read backwards through a session.
#[derive(Default)]
struct Backwards {
    /// Newest first; none where a reply was moved elsewhere.
    messages: Vec<Option<Message>>,
    /// The number of moved replies.
    moved: usize,
    /// The indexes of the agent's messages, by their times.
    replies: BTreeMap<Timestamp, usize>,
    /// The messages that the agent's messages name and that are not read yet: only they say whether
    /// those are their replies.
    named: Vec<MessageId>,
    /// The replies that are later than the given message and have been placed.
    later: BTreeSet<Timestamp>,
}

impl Backwards {
    /// Whether the newest `limit` messages are complete and in order.
    fn has(&self, limit: usize) -> bool {
        let read = self.messages.len() - self.moved;
        read >= limit && (self.named.is_empty() || read >= limit + MAX_EXTRA_MESSAGES || limit == 0)
    }

    fn push_reply(&mut self, message: Message) {
        self.replies.insert(message.created_at, self.messages.len());
        if let Role::Agent {
            in_reply_to: Some(id),
            ..
        } = message.role
        {
            self.named.push(id);
        }
        self.messages.push(Some(message));
    }

    /// Moves the reply to a user's message here, if it was read and is not placed yet.
    fn settle(&mut self, message: &Message) {
        self.named.retain(|named| *named != message.id);
        let index = replied_at(message).and_then(|at| self.replies.remove(&at));
        if let Some(reply) = index.and_then(|index| self.messages.get_mut(index)?.take()) {
            self.moved += 1;
            self.messages.push(Some(reply));
        }
    }

    /// Returns when the reply to a message was stored, if that was after the given message and it
    /// is not placed yet.
    fn later_reply(&mut self, message: &Message, given: Timestamp) -> Option<Timestamp> {
        replied_at(message).filter(|at| *at >= given && self.later.insert(*at))
    }

    fn into_newest(self, limit: usize) -> Vec<Message> {
        let newest_first = self.messages.into_iter().flatten().take(limit);
        let mut messages: Vec<_> = newest_first.collect();
        messages.reverse();
        messages
    }
}
