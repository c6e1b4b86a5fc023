//! A message, and what a client may put into one.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::id::{MessageId, SessionId, TurnId};
use super::time::Timestamp;
use super::timeout::kind;

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

    fn content(reason: String) -> Self {
        Self::Content {
            field: "content",
            reason,
        }
    }

    fn attachments(reason: String) -> Self {
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

impl Body {
    /// Whether two bodies say the same, however their JSON is written.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.content == other.content
            && same_json(self.metadata.as_deref(), other.metadata.as_deref())
            && same_json(self.attachments.as_deref(), other.attachments.as_deref())
    }
}

/// Whether two optional JSON texts stand for the same value.
#[must_use]
pub fn same_json(one: Option<&str>, other: Option<&str>) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|one| parse(other) == Some(one))
}

/// Reads the `content` of a user's message.
///
/// # Errors
/// It is missing, no string, empty or too long.
pub fn content(value: Option<&Value>) -> Result<String, InvalidMessage> {
    let text = match value {
        None | Some(Value::Null) => {
            return Err(InvalidMessage::content("content is required".into()));
        }
        Some(Value::String(text)) => text,
        Some(other) => {
            let reason = format!("content must be a string, not {}", kind(other));
            return Err(InvalidMessage::content(reason));
        }
    };
    match text.chars().count() {
        0 => Err(InvalidMessage::content("content must not be empty".into())),
        1..=MAX_CONTENT_CHARS => Ok(text.clone()),
        chars => Err(InvalidMessage::content(format!(
            "content must be at most {MAX_CONTENT_CHARS} characters, not {chars}"
        ))),
    }
}

/// Reads `metadata`: none where it is absent or null.
///
/// # Errors
/// It is no object, or too large.
pub fn metadata(value: Option<&Value>) -> Result<Option<Map<String, Value>>, InvalidMessage> {
    let map = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(map)) => map,
        Some(other) => {
            let reason = format!("metadata must be an object, not {}", kind(other));
            return Err(InvalidMessage::Metadata(reason));
        }
    };
    let bytes = json_text(map).len();
    if bytes > MAX_METADATA_BYTES {
        return Err(InvalidMessage::Metadata(format!(
            "metadata must be at most {MAX_METADATA_BYTES} bytes as compact JSON, not {bytes}"
        )));
    }
    Ok(Some(map.clone()))
}

/// Reads a message's own `metadata` as the text that is stored.
///
/// What only the server says (`sessionId`, `agentError`) is dropped.
///
/// # Errors
/// It is no object, or too large.
pub fn message_metadata(value: Option<&Value>) -> Result<Option<String>, InvalidMessage> {
    let Some(mut map) = metadata(value)? else {
        return Ok(None);
    };
    map.shift_remove("sessionId");
    map.shift_remove("agentError");
    Ok((!map.is_empty()).then(|| json_text(&map)))
}

/// Reads `attachments` as the text that is stored: none where it is absent or null.
///
/// # Errors
/// It is no array of at most ten objects with a `type` and a `url`, or too large.
pub fn attachments(value: Option<&Value>) -> Result<Option<String>, InvalidMessage> {
    let list = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(other) => {
            let reason = format!("attachments must be an array, not {}", kind(other));
            return Err(InvalidMessage::attachments(reason));
        }
    };
    if list.len() > MAX_ATTACHMENTS {
        let found = list.len();
        let reason = format!("attachments must be at most {MAX_ATTACHMENTS}, not {found}");
        return Err(InvalidMessage::attachments(reason));
    }
    for (index, attachment) in list.iter().enumerate() {
        check_attachment(index, attachment)?;
    }
    let text = json_text(list);
    if text.len() > MAX_ATTACHMENTS_BYTES {
        let found = text.len();
        return Err(InvalidMessage::attachments(format!(
            "attachments must be at most {MAX_ATTACHMENTS_BYTES} bytes as compact JSON, not {found}"
        )));
    }
    Ok((!list.is_empty()).then_some(text))
}

fn check_attachment(index: usize, attachment: &Value) -> Result<(), InvalidMessage> {
    let Value::Object(fields) = attachment else {
        let found = kind(attachment);
        let reason = format!("attachments[{index}] must be an object, not {found}");
        return Err(InvalidMessage::attachments(reason));
    };
    for name in ["type", "url"] {
        let text = fields.get(name).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            let reason = format!("attachments[{index}].{name} must be a non-empty string");
            return Err(InvalidMessage::attachments(reason));
        }
    }
    Ok(())
}

/// The compact text of a JSON value.
pub fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> String {
    // A `Value` has string keys and no failing `Serialize`, the two ways in which this can fail.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
