//! A message of a channel, as a session can have it.

use chrono::DateTime;
use reqwest::Url;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::wire::ChannelMessage;
use crate::agents::backends::attachments::Attachments;
use crate::agents::client::address::without_secrets;
use crate::domain::id::parse_uuid;
use crate::domain::message::{Body, MAX_SENDER_NAME_CHARS, MAX_THOUGHT_BYTES, check_content};
use crate::domain::time::Timestamp;
use crate::domain::turn::MAX_SUBMITTED_BYTES;
use crate::json::{self, Field};
use crate::message_json::{message_metadata, reply_metadata};

/// The type of an agent's reply.
const REPLY: &str = "agent_response";

/// The type of a notice that an agent has begun or ended an action.
const ACTION: &str = "agent_action";

/// The type of a message that came by Socket.IO.
const BY_SOCKET: &str = "socketio_client";

/// The members of a message's metadata that a session stores elsewhere, or knows itself.
const AGENT_ID: &str = "agent_id";
const SENDER_NAME: &str = "user_display_name";
const SESSION_ID: &str = "sessionId";

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadMessage {
    pub(super) id: Uuid,
    pub(super) author: Uuid,
    pub(super) at: Timestamp,
    pub(super) body: Body,
    /// The message that it answers.
    pub(super) in_reply_to: Option<Uuid>,
    pub(super) by: Speaker,
}

/// Who has written a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Speaker {
    Agent {
        thought: Option<String>,
        /// The text of a JSON array.
        actions: Option<String>,
    },
    User {
        name: Option<String>,
        by_socket: bool,
    },
}

/// What the messages of a channel have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageContext<'a> {
    /// The address of the server.
    pub(super) base: &'a Url,
    /// The metadata of the channel, which the messages of a session repeat.
    pub(super) metadata: &'a Map<String, Value>,
}

impl ReadMessage {
    /// Returns the message; `None` for a notice about an action, which is not a part of the
    /// conversation. `is_agent` tells whether an id is an agent's.
    ///
    /// # Errors
    /// Why a session cannot have the message, with its id.
    pub(super) fn read(
        message: ChannelMessage,
        shared: MessageContext<'_>,
        is_agent: impl FnOnce(Uuid) -> bool,
    ) -> Result<Option<Self>, String> {
        let id = parse_uuid(&message.id).ok_or("the id of one of its messages is not a UUID")?;
        let source = message.source_type.clone().given().unwrap_or_default();
        let source = source.unwrap_or_default();
        if source == ACTION {
            return Ok(None);
        }
        let said = Self::with_id(id, message, &source, shared, is_agent);
        said.map(Some)
            .map_err(|reason| format!("its message {id} cannot be stored: {reason}"))
    }

    fn with_id(
        id: Uuid,
        message: ChannelMessage,
        source: &str,
        shared: MessageContext<'_>,
        is_agent: impl FnOnce(Uuid) -> bool,
    ) -> Result<Self, String> {
        let author = parse_uuid(&message.author_id).ok_or("the id of its author is not a UUID")?;
        let at = time(&message.created_at).ok_or("its createdAt is not a time")?;
        let content = match message.content {
            Value::String(text) => text,
            other => json::text(&other),
        };
        let metadata = message.metadata.given().map_err(not_an_object)?;
        let mut metadata = own(metadata.unwrap_or_default(), shared.metadata);
        let attachments = attachments(metadata.shift_remove("attachments"), shared.base)?;
        let (by, metadata) = if source == REPLY || is_agent(author) {
            check_reply(&content)?;
            agent(author, metadata)?
        } else {
            check_content(&content).map_err(|error| error.reason().to_owned())?;
            user(source == BY_SOCKET, metadata)?
        };
        let in_reply_to = message.in_reply_to_root_message_id.given().ok().flatten();
        Ok(Self {
            id,
            author,
            at,
            body: Body {
                content,
                metadata,
                attachments,
            },
            in_reply_to: in_reply_to.and_then(|id| parse_uuid(&id)),
            by,
        })
    }

    pub(super) fn is_agent(&self) -> bool {
        matches!(self.by, Speaker::Agent { .. })
    }

    /// Returns about how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let by = match &self.by {
            Speaker::Agent { thought, actions } => length(thought) + length(actions),
            Speaker::User { name, .. } => length(name),
        };
        let body = &self.body;
        body.content.len()
            + length(&body.metadata)
            + length(&body.attachments)
            + by
            + size_of::<Self>()
    }
}

/// Parses a time as JavaScript writes it.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp(time.timestamp_millis()))
}

fn not_an_object(found: &str) -> String {
    format!("its metadata must be an object, not {found}")
}

/// Returns the metadata that the message does not share with its channel: those of a session are
/// merged into its messages when they are read.
fn own(mut metadata: Map<String, Value>, shared: &Map<String, Value>) -> Map<String, Value> {
    metadata.retain(|name, value| name != SESSION_ID && shared.get(name) != Some(value));
    metadata
}

fn agent(
    author: Uuid,
    mut fields: Map<String, Value>,
) -> Result<(Speaker, Option<String>), String> {
    let thought = fields.shift_remove("thought").filter(|it| !it.is_null());
    let thought = thought.map(|thought| match thought {
        Value::String(text) => text,
        other => json::text(&other),
    });
    if thought
        .as_ref()
        .is_some_and(|it| it.len() > MAX_THOUGHT_BYTES)
    {
        return Err(format!(
            "its thought is longer than {MAX_THOUGHT_BYTES} bytes"
        ));
    }
    let actions = fields
        .get("actions")
        .filter(|it| it.is_array())
        .map(json::text);
    if actions.is_some() {
        fields.shift_remove("actions");
    }
    if fields
        .get(AGENT_ID)
        .and_then(Value::as_str)
        .and_then(parse_uuid)
        == Some(author)
    {
        fields.shift_remove(AGENT_ID);
    }
    let metadata = reply_metadata(Field::Value(fields)).map_err(|it| it.reason().to_owned())?;
    Ok((Speaker::Agent { thought, actions }, metadata))
}

fn user(
    by_socket: bool,
    mut fields: Map<String, Value>,
) -> Result<(Speaker, Option<String>), String> {
    let name = match fields.shift_remove(SENDER_NAME) {
        Some(Value::String(name)) if can_be_name(&name) => Some(name),
        Some(other) => {
            fields.insert(SENDER_NAME.into(), other);
            None
        }
        None => None,
    };
    let metadata = message_metadata(Field::Value(fields)).map_err(|it| it.reason().to_owned())?;
    Ok((Speaker::User { name, by_socket }, metadata))
}

fn can_be_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= MAX_SENDER_NAME_CHARS
}

fn check_reply(content: &str) -> Result<(), String> {
    let bytes = content.len();
    if bytes > MAX_SUBMITTED_BYTES {
        return Err(format!(
            "an agent's content must be at most {MAX_SUBMITTED_BYTES} bytes, not {bytes}"
        ));
    }
    Ok(())
}

/// Returns the text of the attachments. Files of the server itself get an address that leads to
/// them from elsewhere.
fn attachments(list: Option<Value>, base: &Url) -> Result<Option<String>, String> {
    let mut list = list;
    for attachment in list.iter_mut().filter_map(Value::as_array_mut).flatten() {
        if let Some(Value::String(url)) = attachment.get_mut("url")
            && url.starts_with('/')
        {
            *url = format!("{}{url}", without_secrets(base));
        }
    }
    let read = Attachments::read(list);
    match read.reason {
        Some(reason) => Err(reason),
        None => Ok(read.text),
    }
}
