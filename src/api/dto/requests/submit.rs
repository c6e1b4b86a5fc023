//! Submitting the reply of an external agent.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::fields::{Object, field_key, header_key, key_schema, metadata_schema, require, uuid};
use crate::api::dto::schemas::schema;
use crate::app::Submission;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::{Body, InvalidMessage};
use crate::domain::turn::{MAX_SUBMITTED_BYTES, Reply};
use crate::json::{self, Field};
use crate::message_json::message_metadata;

/// A reply of an external agent.
// The published client has other names for some fields; the documented names come first.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SubmitRequest {
    /// The session. If it is absent, `channelId` is read instead.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"
    )]
    channel_id: Field<String>,
    #[serde(rename = "channelId", default)]
    #[schema(ignore)]
    camel_channel_id: Field<String>,
    /// The session's agent. If it is absent, `agentId` is read instead.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "b850bc30-45f8-0041-a00a-83df46d8555d"
    )]
    author_id: Field<String>,
    #[serde(rename = "agentId", default)]
    #[schema(ignore)]
    camel_agent_id: Field<String>,
    /// The text, at most 64 KiB.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, example = "Here I am.")]
    content: Field<String>,
    #[serde(rename = "messageId", default)]
    #[schema(schema_with = key_schema)]
    message_id: Field<String>,
    #[serde(default)]
    #[schema(schema_with = in_reply_to_schema)]
    in_reply_to_message_id: Field<String>,
    #[serde(rename = "inReplyToMessageId", default)]
    #[schema(ignore)]
    camel_in_reply_to_message_id: Field<String>,
    /// Its `thought`, a text, and its `actions`, a list, are stored. If it is absent, `rawMessage`
    /// is read instead.
    #[serde(default)]
    #[schema(required = false, value_type = Value)]
    raw_message: Field<Object>,
    #[serde(rename = "rawMessage", default)]
    #[schema(ignore)]
    camel_raw_message: Field<Object>,
    #[serde(default)]
    #[schema(schema_with = metadata_schema)]
    metadata: Field<Object>,
}

/// The parts of the agent's own message that are stored if their types are right.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMessage {
    thought: Field<String>,
    actions: Field<Vec<Value>>,
}

impl SubmitRequest {
    /// Validates the fields and the key of the header, which overrides that of the body. Fails with
    /// all missing fields, else with the first invalid one.
    pub(crate) fn validate(self, key: Option<&str>) -> Result<Submission, ValidationError> {
        let channel = self.channel_id.or(self.camel_channel_id);
        let author = self.author_id.or(self.camel_agent_id);
        require(&[
            ("channel_id", &channel),
            ("author_id", &author),
            ("content", &self.content),
        ])?;
        let channel = SessionId(uuid("channel_id", channel)?);
        let author = AgentId(uuid("author_id", author)?);
        let in_reply_to = self.in_reply_to_message_id;
        let in_reply_to = match in_reply_to.or(self.camel_in_reply_to_message_id) {
            Field::Absent | Field::Null => None,
            given => Some(MessageId(uuid("in_reply_to_message_id", given)?)),
        };
        let content = content(self.content)?;
        let key = match header_key(key)? {
            Some(key) => Some(key),
            None => field_key("messageId", self.message_id)?,
        };
        let raw = self.raw_message.or(self.camel_raw_message);
        let raw: RawMessage = json::read(raw.given().ok().flatten().unwrap_or_default());
        let reply = Reply {
            body: Body {
                content,
                metadata: message_metadata(self.metadata)?,
                attachments: None,
            },
            thought: raw.thought.given().ok().flatten(),
            actions: raw.actions.given().ok().flatten().map(|it| json::text(&it)),
        };
        reply.check_metadata()?;
        Ok(Submission {
            channel,
            author,
            in_reply_to,
            reply,
            key,
        })
    }
}

fn content(sent: Field<String>) -> Result<String, InvalidMessage> {
    let text = sent.given().map_err(|found| {
        InvalidMessage::content(format!("content must be a string, not {found}"))
    })?;
    // A missing one was refused before.
    let text = text.unwrap_or_default();
    if text.len() > MAX_SUBMITTED_BYTES {
        let length = text.len();
        let reason = format!("content must be at most {MAX_SUBMITTED_BYTES} bytes, not {length}");
        return Err(InvalidMessage::content(reason));
    }
    Ok(text)
}

fn in_reply_to_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "format": "uuid",
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "description": "The message that this is a reply to. If it is absent, `inReplyToMessageId` \
            is read instead.",
    }))
}
