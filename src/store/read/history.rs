//! Reading what was said in a session before one of its messages.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::Reader;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::store::error::ReadError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::record;

type Result<T> = std::result::Result<T, ReadError>;

/// How many messages more than are wanted may be looked at for the places of replies.
const LOOKAROUND: usize = 64;

impl Reader<'_> {
    /// The messages that came before one of the user's, oldest first, at most the `limit` newest;
    /// damaged ones are left out.
    ///
    /// A reply follows the message that it answers, the newest where it answers several, even if
    /// it was stored after later messages, or after the one that is asked for. What the agent said
    /// unasked stands where it was said.
    pub(in crate::store) fn messages_before(
        &self,
        session: SessionId,
        message_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<Message>> {
        let id = u128::from(session);
        let mut history = Backwards::default();
        let rows = self
            .snapshot
            .messages
            .range((id, i64::MIN)..(id, message_at.0))?;
        for row in rows.rev() {
            if history.has(limit) {
                break;
            }
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            match record::decode_message(session, at, bytes.value()) {
                Ok(message) if message.is_agent() => history.push_said(message),
                Ok(message) => {
                    history.settle(&message);
                    if let Some(reply) = history.later_reply(&message, message_at)
                        && let Some(reply) = self.undamaged_message(session, reply)?
                    {
                        history.messages.push(Some(reply));
                    }
                    history.messages.push(Some(message));
                }
                Err(error) => self
                    .damage
                    .note(session, RecordLocation::Message(at), &error),
            }
        }
        Ok(history.into_newest(limit))
    }

    /// What the user said before one of their messages, oldest first, at most the `limit` newest;
    /// nothing else is copied, and damaged messages are left out.
    pub(in crate::store) fn statements_before(
        &self,
        session: SessionId,
        message_at: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>> {
        let id = u128::from(session);
        let mut found = Vec::new();
        let rows = self
            .snapshot
            .messages
            .range((id, i64::MIN)..(id, message_at.0))?;
        for row in rows.rev() {
            if found.len() >= limit {
                break;
            }
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            match record::borrow_message(session, at, bytes.value()) {
                Ok(message) if message.is_agent() => {}
                Ok(message) => found.push(message.body.content.to_owned()),
                Err(error) => self
                    .damage
                    .note(session, RecordLocation::Message(at), &error),
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

/// Messages as they are met on the way back through a session.
#[derive(Default)]
struct Backwards {
    /// The newest first. None where a reply was moved away.
    messages: Vec<Option<Message>>,
    /// How many were moved away.
    moved: usize,
    /// The places of what the agent said, by its time.
    said: BTreeMap<Timestamp, usize>,
    /// The messages that the agent named in what it said and that are not met yet: only they tell
    /// whether that is their reply.
    named: Vec<MessageId>,
    /// The replies that are later than all that is met and have their place.
    later: BTreeSet<Timestamp>,
}

impl Backwards {
    /// Whether the newest `limit` messages are there and in their places.
    fn has(&self, limit: usize) -> bool {
        let met = self.messages.len() - self.moved;
        met >= limit && (self.named.is_empty() || met >= limit + LOOKAROUND || limit == 0)
    }

    fn push_said(&mut self, message: Message) {
        self.said.insert(message.created_at, self.messages.len());
        if let Role::Agent {
            in_reply_to: Some(id),
            ..
        } = message.role
        {
            self.named.push(id);
        }
        self.messages.push(Some(message));
    }

    /// Moves the reply to a message of the user here, if it was met and has no place yet.
    fn settle(&mut self, message: &Message) {
        self.named.retain(|named| *named != message.id);
        let place = replied_at(message).and_then(|at| self.said.remove(&at));
        if let Some(reply) = place.and_then(|place| self.messages.get_mut(place)?.take()) {
            self.moved += 1;
            self.messages.push(Some(reply));
        }
    }

    /// When the reply to a message was stored, if that was after the message that is asked for and
    /// it has no place yet.
    fn later_reply(&mut self, message: &Message, asked_for: Timestamp) -> Option<Timestamp> {
        replied_at(message).filter(|at| *at >= asked_for && self.later.insert(*at))
    }

    fn into_newest(self, limit: usize) -> Vec<Message> {
        let newest_first = self.messages.into_iter().flatten().take(limit);
        let mut messages: Vec<_> = newest_first.collect();
        messages.reverse();
        messages
    }
}
