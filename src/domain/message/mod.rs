//! Messages and their limits.

use uuid::Uuid;

use super::failure::FailureReason;
use super::id::{MessageId, SessionId, TurnId};
use super::time::Timestamp;

/// The longest content of a user's message, in Unicode characters.
pub const MAX_CONTENT_CHARS: usize = 4000;
/// The largest metadata, in bytes of compact JSON.
pub const MAX_METADATA_BYTES: usize = 10_240;
/// The highest number of attachments of a message.
pub const MAX_ATTACHMENTS: usize = 10;
/// The largest attachments of a message together, in bytes of compact JSON.
pub const MAX_ATTACHMENTS_BYTES: usize = 16 * 1024;

/// The longest thought of an agent, in bytes.
pub const MAX_THOUGHT_BYTES: usize = 16 * 1024;
/// The largest actions of an agent's message, in bytes of compact JSON.
pub const MAX_ACTIONS_BYTES: usize = 16 * 1024;
/// The longest display name of a sender, in Unicode characters.
pub const MAX_SENDER_NAME_CHARS: usize = 200;

/// A stored message. Its texts are owned, or borrowed from the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<T = String> {
    /// The id.
    pub id: MessageId,
    /// The session.
    pub session_id: SessionId,
    /// The user's or the agent's id.
    pub author_id: Uuid,
    /// The time, strictly later than that of the preceding message of the session.
    pub created_at: Timestamp,
    /// The content.
    pub body: Body<T>,
    /// The author, and what is stored for one of that kind.
    pub role: Role<T>,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body<T = String> {
    /// The text.
    pub content: T,
    /// The message's own metadata: the text of a JSON object.
    pub metadata: Option<T>,
    /// The attachments: the text of a JSON array of objects.
    pub attachments: Option<T>,
}

/// The kind of author of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role<T = String> {
    /// The user, whose message opened a turn.
    User {
        /// The turn.
        turn_id: TurnId,
        /// The id of the reply, fixed when the message is stored.
        reply_id: MessageId,
        /// The sender.
        sender: Sender<T>,
        /// The state of the turn.
        turn: TurnState<T>,
    },
    /// The agent.
    Agent {
        /// The message that it answers.
        in_reply_to: Option<MessageId>,
        /// The agent's thought behind the reply.
        thought: Option<T>,
        /// The agent's actions: the text of a JSON array.
        actions: Option<T>,
    },
}

/// The sender of a user's message, as the session's subscribers see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sender<T = String> {
    /// Whether the message came by Socket.IO.
    pub by_socket: bool,
    /// The display name.
    pub name: Option<T>,
}

/// The state of the turn of a user's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnState<T = String> {
    /// There is no reply yet.
    Open,
    /// The reply is the session's message of that time.
    Replied(Timestamp),
    /// There is no reply, unless the client retries the message with its key.
    Failed(TurnFailure<T>),
    /// There is no turn: the message is a copy, and its reply was not copied.
    Copied,
}

/// Why a turn has no reply, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnFailure<T = String> {
    /// The error code of the API.
    pub code: T,
    /// A sentence without internal details of the agent.
    pub message: T,
    /// The cause. `None` for failures that older versions stored.
    pub reason: Option<FailureReason>,
}

/// An invalid message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidMessage {
    /// Content or attachments.
    Content {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Metadata, with what is wrong and what is allowed.
    Metadata(String),
}

impl InvalidMessage {
    /// Returns what is wrong and what is allowed.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Content { reason, .. } | Self::Metadata(reason) => reason,
        }
    }

    /// Creates an error of the content.
    #[must_use]
    pub fn content(reason: String) -> Self {
        Self::Content {
            field: "content",
            reason,
        }
    }

    /// Creates an error of the attachments.
    #[must_use]
    pub fn attachments(reason: String) -> Self {
        Self::Content {
            field: "attachments",
            reason,
        }
    }
}

impl<T> Message<T> {
    /// Returns whether the agent is the author.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        matches!(self.role, Role::Agent { .. })
    }

    /// Returns the state of the turn that the message opened; `None` for an agent's message.
    #[must_use]
    pub fn turn(&self) -> Option<&TurnState<T>> {
        match &self.role {
            Role::User { turn, .. } => Some(turn),
            Role::Agent { .. } => None,
        }
    }

    /// Returns whether it is a user's message without a reply yet.
    #[must_use]
    pub fn has_open_turn(&self) -> bool {
        matches!(self.turn(), Some(TurnState::Open))
    }
}

impl Message {
    /// Returns the bytes of content, attachments and metadata. An agent's thought and actions are
    /// metadata too.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let body = &self.body;
        let of_agent = match &self.role {
            Role::Agent {
                thought, actions, ..
            } => length(thought) + length(actions),
            Role::User { .. } => 0,
        };
        body.content.len() + length(&body.metadata) + length(&body.attachments) + of_agent
    }
}

impl Message<&str> {
    /// Copies the borrowed texts.
    #[must_use]
    pub fn into_owned(self) -> Message {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Message {
            id: self.id,
            session_id: self.session_id,
            author_id: self.author_id,
            created_at: self.created_at,
            body: Body {
                content: self.body.content.to_owned(),
                metadata: owned(self.body.metadata),
                attachments: owned(self.body.attachments),
            },
            role: match self.role {
                Role::User {
                    turn_id,
                    reply_id,
                    sender,
                    turn,
                } => Role::User {
                    turn_id,
                    reply_id,
                    sender: Sender {
                        by_socket: sender.by_socket,
                        name: owned(sender.name),
                    },
                    turn: match turn {
                        TurnState::Open => TurnState::Open,
                        TurnState::Replied(at) => TurnState::Replied(at),
                        TurnState::Failed(failure) => TurnState::Failed(TurnFailure {
                            code: failure.code.to_owned(),
                            message: failure.message.to_owned(),
                            reason: failure.reason,
                        }),
                        TurnState::Copied => TurnState::Copied,
                    },
                },
                Role::Agent {
                    in_reply_to,
                    thought,
                    actions,
                } => Role::Agent {
                    in_reply_to,
                    thought: owned(thought),
                    actions: owned(actions),
                },
            },
        }
    }
}

/// Checks the length of a user's message.
///
/// # Errors
/// The content is empty or too long.
pub fn check_content(content: &str) -> Result<(), InvalidMessage> {
    match content.chars().count() {
        0 => Err(InvalidMessage::content("content must not be empty".into())),
        1..=MAX_CONTENT_CHARS => Ok(()),
        chars => Err(InvalidMessage::content(format!(
            "content must be at most {MAX_CONTENT_CHARS} characters, not {chars}"
        ))),
    }
}

/// Checks the size of metadata, in bytes of compact JSON.
///
/// # Errors
/// The metadata is too large.
pub fn check_metadata(bytes: usize) -> Result<(), InvalidMessage> {
    if bytes <= MAX_METADATA_BYTES {
        return Ok(());
    }
    Err(InvalidMessage::Metadata(format!(
        "metadata must be at most {MAX_METADATA_BYTES} bytes as compact JSON, not {bytes}"
    )))
}

/// Checks the number of a message's attachments.
///
/// # Errors
/// There are too many.
pub fn check_attachment_count(count: usize) -> Result<(), InvalidMessage> {
    if count <= MAX_ATTACHMENTS {
        return Ok(());
    }
    let reason = format!("attachments must be at most {MAX_ATTACHMENTS}, not {count}");
    Err(InvalidMessage::attachments(reason))
}

/// Checks the size of a message's attachments, in bytes of compact JSON.
///
/// # Errors
/// The attachments are too large.
pub fn check_attachments(bytes: usize) -> Result<(), InvalidMessage> {
    if bytes <= MAX_ATTACHMENTS_BYTES {
        return Ok(());
    }
    Err(InvalidMessage::attachments(format!(
        "attachments must be at most {MAX_ATTACHMENTS_BYTES} bytes as compact JSON, not {bytes}"
    )))
}

#[cfg(test)]
mod tests;
