//! A channel as a session with its messages.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::parties::Parties;
use super::read_message::{ReadMessage, Speaker};
use super::session::KnownChannel;
use crate::archive;
use crate::domain::archive::{ArchivedMessage, ArchivedSession, Item};
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{Message, Role, Sender, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutPolicy;

/// A session with its messages.
#[derive(Debug, Clone)]
pub(super) struct ArchivedConversation {
    pub(super) id: SessionId,
    /// The name of its channel.
    pub(super) name: String,
    /// The session, then its messages, oldest first.
    pub(super) items: Vec<Item>,
    /// The number of the user's messages without a reply.
    pub(super) unanswered: u64,
    /// About how many bytes its messages take.
    pub(super) bytes: usize,
}

impl ArchivedConversation {
    /// Returns the session of a channel, which expires now.
    ///
    /// # Errors
    /// Why there cannot be one.
    pub(super) fn new(
        channel: KnownChannel,
        parties: Parties,
        messages: Vec<ReadMessage>,
        policy: &TimeoutPolicy,
        now: Timestamp,
    ) -> Result<Self, String> {
        let id = SessionId(channel.id);
        let messages = in_order(messages);
        let replies = Replies::new(&messages);
        let of_user = messages.iter().filter(|said| !said.is_agent());
        let last_activity = of_user.map(|said| said.at).max();
        let unanswered = unanswered(&messages, &replies);
        let bytes = messages.iter().map(ReadMessage::bytes).sum();
        let session = channel.session(parties, last_activity, policy, now)?;
        let session = Item::Session(ArchivedSession {
            session,
            create_key_use: None,
            remote_session: None,
        });
        let messages = messages.into_iter().map(|said| {
            Item::Message(ArchivedMessage {
                message: message(id, said, &replies),
                keys: Vec::new(),
                turn: None,
                errors: Vec::new(),
            })
        });
        Ok(Self {
            id,
            name: channel.name,
            items: within_bounds([session].into_iter().chain(messages), now)?,
            unanswered,
            bytes,
        })
    }

    /// Returns the number of messages.
    pub(super) fn messages(&self) -> u64 {
        self.items.len().saturating_sub(1) as u64
    }

    /// Returns the lines of an export that has this session.
    pub(super) fn lines(&self) -> String {
        self.items.iter().map(archive::line).collect()
    }
}

/// Returns the items if the API would accept all of them.
fn within_bounds(items: impl Iterator<Item = Item>, now: Timestamp) -> Result<Vec<Item>, String> {
    let lines = (1..).zip(items.map(Ok));
    let checked = archive::within_bounds(lines, now).map(|(number, item)| {
        item.map_err(|reason| match number {
            1 => format!("its session cannot be stored: {reason}"),
            _ => format!("one of its messages cannot be stored: {reason}"),
        })
    });
    checked.collect()
}

/// Sorts messages by their times, which become strictly increasing. Within a millisecond the order
/// is unknown; a reply comes after the message that it answers.
fn in_order(mut messages: Vec<ReadMessage>) -> Vec<ReadMessage> {
    messages.sort_by_key(|said| (said.at, said.is_agent()));
    let mut earliest = Timestamp::MIN;
    for said in &mut messages {
        said.at = said.at.max(earliest);
        earliest = said.at.next();
    }
    messages
}

/// Returns how many of the user's messages have no reply. Some replies do not say what they answer.
fn unanswered(messages: &[ReadMessage], replies: &Replies) -> u64 {
    let next = messages.iter().skip(1).map(Some).chain([None]);
    let unanswered = messages.iter().zip(next).filter(|(said, next)| {
        let is_answered = replies.to(said.id).is_some() || next.is_some_and(ReadMessage::is_agent);
        !said.is_agent() && !is_answered
    });
    unanswered.count() as u64
}

/// The replies to the user's messages.
struct Replies {
    /// The id and the time of the first reply to each of the user's messages that has one.
    first: BTreeMap<Uuid, (Uuid, Timestamp)>,
    /// The ids of all messages.
    ids: BTreeSet<Uuid>,
}

impl Replies {
    /// Finds the replies among messages in their order.
    fn new(messages: &[ReadMessage]) -> Self {
        let mut asked = BTreeSet::new();
        let mut first = BTreeMap::new();
        for said in messages {
            if !said.is_agent() {
                asked.insert(said.id);
            } else if let Some(id) = said.in_reply_to.filter(|id| asked.contains(id)) {
                first.entry(id).or_insert((said.id, said.at));
            }
        }
        let ids = messages.iter().map(|said| said.id).collect();
        Self { first, ids }
    }

    fn to(&self, message: Uuid) -> Option<(Uuid, Timestamp)> {
        self.first.get(&message).copied()
    }
}

fn message(session: SessionId, said: ReadMessage, replies: &Replies) -> Message {
    let reply = replies.to(said.id);
    let role = match said.by {
        Speaker::Agent { thought, actions } => Role::Agent {
            in_reply_to: said
                .in_reply_to
                .filter(|id| replies.ids.contains(id))
                .map(MessageId),
            thought,
            actions,
        },
        Speaker::User { name, by_socket } => Role::User {
            turn_id: TurnId(Uuid::new_v4()),
            reply_id: MessageId(reply.map_or_else(Uuid::new_v4, |(id, _)| id)),
            sender: Sender { by_socket, name },
            turn: match reply {
                Some((_, at)) => TurnState::Replied(at),
                // Without a turn, it is not sent to the agent again.
                None => TurnState::Copied,
            },
        },
    };
    Message {
        id: MessageId(said.id),
        session_id: session,
        author_id: said.author,
        created_at: said.at,
        body: said.body,
        role,
    }
}
