//! A message, and the limits of what a client may put into one.

use uuid::Uuid;

use super::id::{MessageId, SessionId, TurnId};
use super::time::Timestamp;

/// The longest content of a user's message, in Unicode characters.
pub const MAX_CONTENT_CHARS: usize = 4000;
/// The largest metadata, in bytes of compact JSON.
pub const MAX_METADATA_BYTES: usize = 10_240;
/// The most attachments of a message.
pub const MAX_ATTACHMENTS: usize = 10;
/// The largest attachments of a message in all, in bytes of compact JSON.
pub const MAX_ATTACHMENTS_BYTES: usize = 16 * 1024;

/// A stored message. Its texts are its own, or lent by whatever it is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<T = String> {
    /// Its id.
    pub id: MessageId,
    /// Its session.
    pub session_id: SessionId,
    /// The user's or the agent's id.
    pub author_id: Uuid,
    /// Strictly later than that of the message before it in the session.
    pub created_at: Timestamp,
    /// What was said.
    pub body: Body<T>,
    /// Who said it, and what belongs to that.
    pub role: Role<T>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body<T = String> {
    /// The text.
    pub content: T,
    /// The message's own metadata: the text of a JSON object.
    pub metadata: Option<T>,
    /// The text of a JSON array of objects.
    pub attachments: Option<T>,
}

/// Who said a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role<T = String> {
    /// The user; the message opened a turn.
    User {
        /// The turn.
        turn_id: TurnId,
        /// The id of the reply, fixed when the message is stored.
        reply_id: MessageId,
        /// How it was sent.
        sender: Sender<T>,
        /// How the turn stands.
        turn: TurnState<T>,
    },
    /// The agent.
    Agent {
        /// The message that it answers.
        in_reply_to: Option<MessageId>,
        /// What the agent thought.
        thought: Option<T>,
        /// The text of a JSON array: what the agent did.
        actions: Option<T>,
    },
}

/// How a user's message was sent, as the listeners of its session are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sender<T = String> {
    /// Whether it came by a socket.
    pub by_socket: bool,
    /// What the sender called themselves.
    pub name: Option<T>,
}

/// How the turn of a user's message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnState<T = String> {
    /// The reply is still to come.
    Open,
    /// The reply is the session's message of that time.
    Replied(Timestamp),
    /// There will be no reply, unless the client sends the message again under its key.
    Failed(TurnFailure<T>),
}

/// Why a turn has no reply, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnFailure<T = String> {
    /// The error code of the API.
    pub code: T,
    /// A sentence without the agent's inner details.
    pub message: T,
}

/// A message that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidMessage {
    /// Content or attachments.
    Content {
        /// The field at fault.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Metadata, with what is wrong and what is allowed.
    Metadata(String),
}

impl InvalidMessage {
    /// What is wrong and what is allowed.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Content { reason, .. } | Self::Metadata(reason) => reason,
        }
    }

    /// Content that is refused for this reason.
    #[must_use]
    pub fn content(reason: String) -> Self {
        Self::Content {
            field: "content",
            reason,
        }
    }

    /// Attachments that are refused for this reason.
    #[must_use]
    pub fn attachments(reason: String) -> Self {
        Self::Content {
            field: "attachments",
            reason,
        }
    }
}

impl<T> Message<T> {
    /// Whether the agent said it.
    #[must_use]
    pub fn is_agent(&self) -> bool {
        matches!(self.role, Role::Agent { .. })
    }

    /// Whether it is a user's message whose reply is still to come.
    #[must_use]
    pub fn has_open_turn(&self) -> bool {
        matches!(
            self.role,
            Role::User {
                turn: TurnState::Open,
                ..
            }
        )
    }
}

impl Message<&str> {
    /// The same with texts of its own.
    #[must_use]
    pub fn into_owned(self) -> Message {
        Message {
            id: self.id,
            session_id: self.session_id,
            author_id: self.author_id,
            created_at: self.created_at,
            body: Body {
                content: self.body.content.to_owned(),
                metadata: self.body.metadata.map(str::to_owned),
                attachments: self.body.attachments.map(str::to_owned),
            },
            role: self.role.into_owned(),
        }
    }
}

impl Role<&str> {
    fn into_owned(self) -> Role {
        match self {
            Self::User {
                turn_id,
                reply_id,
                sender,
                turn,
            } => Role::User {
                turn_id,
                reply_id,
                sender: Sender {
                    by_socket: sender.by_socket,
                    name: sender.name.map(str::to_owned),
                },
                turn: turn.into_owned(),
            },
            Self::Agent {
                in_reply_to,
                thought,
                actions,
            } => Role::Agent {
                in_reply_to,
                thought: thought.map(str::to_owned),
                actions: actions.map(str::to_owned),
            },
        }
    }
}

impl TurnState<&str> {
    fn into_owned(self) -> TurnState {
        match self {
            Self::Open => TurnState::Open,
            Self::Replied(at) => TurnState::Replied(at),
            Self::Failed(failure) => TurnState::Failed(TurnFailure {
                code: failure.code.to_owned(),
                message: failure.message.to_owned(),
            }),
        }
    }
}

/// Checks the length of a user's message.
///
/// # Errors
/// It is empty or too long.
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
/// It is too large.
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
/// They are too large.
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
