//! Submitting the reply of an external agent.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::fields::{Object, field_key, header_key, key_schema, metadata_schema, require, uuid};
use crate::api::dto::schemas::{self, schema};
use crate::app::Submission;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId};
use crate::domain::message::{Body, InvalidMessage};
use crate::domain::turn::{MAX_ERROR_CHARS, MAX_SUBMITTED_BYTES, Reply, without_control};
use crate::json::{self, Field};
use crate::message_json::{attachments, reply_metadata};
use crate::session_json::metadata_patch;

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
    #[serde(rename = "turnId", default)]
    #[schema(schema_with = turn_schema)]
    turn_id: Field<String>,
    /// The text, at most 64 KiB. Either this or `error` is required.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, example = "Here I am.")]
    content: Field<String>,
    /// Instead of `content`: why the agent does not reply.
    #[serde(default)]
    #[schema(value_type = Option<SubmitError>)]
    error: Field<Object>,
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
    /// The attachments of the reply, at most 16 KiB together.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schemas::Attachment>>, max_items = 10)]
    attachments: Field<Vec<Value>>,
    #[serde(rename = "sessionMetadata", default)]
    #[schema(schema_with = session_metadata_schema)]
    session_metadata: Field<Object>,
}

/// Why an agent does not reply.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = SubmittedError)]
struct SubmitError {
    /// For the user, 1 to 500 characters.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, min_length = 1, max_length = 500,
        example = "I do not discuss this."
    )]
    message: Field<String>,
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
        require(&[("channel_id", &channel), ("author_id", &author)])?;
        let channel = SessionId(uuid("channel_id", channel)?);
        let author = AgentId(uuid("author_id", author)?);
        let in_reply_to = self.in_reply_to_message_id;
        let in_reply_to = match in_reply_to.or(self.camel_in_reply_to_message_id) {
            Field::Absent | Field::Null => None,
            given => Some(MessageId(uuid("in_reply_to_message_id", given)?)),
        };
        let turn_id = match self.turn_id {
            Field::Absent | Field::Null => None,
            given => Some(TurnId(uuid("turnId", given)?)),
        };
        let (content, error) = content_or_error(self.content, self.error)?;
        let key = match header_key(key)? {
            Some(key) => Some(key),
            None => field_key("messageId", self.message_id)?,
        };
        let raw = self.raw_message.or(self.camel_raw_message);
        let raw: RawMessage = json::read(raw.given().ok().flatten().unwrap_or_default());
        let reply = Reply {
            body: Body {
                content,
                metadata: reply_metadata(self.metadata)?,
                attachments: attachments(self.attachments)?,
            },
            thought: raw.thought.given().ok().flatten(),
            actions: raw.actions.given().ok().flatten().map(|it| json::text(&it)),
            session_metadata: metadata_patch("sessionMetadata", self.session_metadata)?,
        };
        reply.check_metadata()?;
        Ok(Submission {
            channel,
            author,
            turn_id,
            in_reply_to,
            reply,
            error,
            key,
        })
    }
}

/// Returns the text of a reply, or an empty text and the message of an error.
fn content_or_error(
    content: Field<String>,
    error: Field<Object>,
) -> Result<(String, Option<String>), InvalidMessage> {
    let has_content = !matches!(content, Field::Absent | Field::Null);
    match (has_content, error.given()) {
        (true, Ok(None)) => Ok((text(content)?, None)),
        (false, Ok(Some(error))) => Ok((String::new(), Some(error_message(error)?))),
        (true, Ok(Some(_))) => {
            let reason = "content and error must not be given together";
            Err(InvalidMessage::content(reason.into()))
        }
        (false, Ok(None)) => Err(InvalidMessage::content(
            "either content or error is required".into(),
        )),
        (_, Err(found)) => Err(invalid_error(format!(
            "error must be an object, not {found}"
        ))),
    }
}

fn error_message(error: Object) -> Result<String, InvalidMessage> {
    let SubmitError { message } = json::read(error);
    let message = message
        .given()
        .map_err(|found| invalid_error(format!("error.message must be a string, not {found}")))?;
    let message = message.ok_or_else(|| invalid_error("error.message is required".into()))?;
    let message = without_control(&message);
    match message.chars().count() {
        _ if message.trim().is_empty() => {
            Err(invalid_error("error.message must not be blank".into()))
        }
        1..=MAX_ERROR_CHARS => Ok(message),
        chars => Err(invalid_error(format!(
            "error.message must be at most {MAX_ERROR_CHARS} characters, not {chars}"
        ))),
    }
}

fn invalid_error(reason: String) -> InvalidMessage {
    InvalidMessage::Content {
        field: "error",
        reason,
    }
}

fn text(sent: Field<String>) -> Result<String, InvalidMessage> {
    let text = sent.given().map_err(|found| {
        InvalidMessage::content(format!("content must be a string, not {found}"))
    })?;
    let text = text.unwrap_or_default();
    if text.is_empty() {
        return Err(InvalidMessage::content("content must not be empty".into()));
    }
    if text.len() > MAX_SUBMITTED_BYTES {
        let length = text.len();
        let reason = format!("content must be at most {MAX_SUBMITTED_BYTES} bytes, not {length}");
        return Err(InvalidMessage::content(reason));
    }
    Ok(text)
}

fn turn_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "format": "uuid",
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "description": "The turn to close: exactly this one, or none. It overrides \
            `in_reply_to_message_id`.",
    }))
}

fn session_metadata_schema() -> Schema {
    schema(json!({
        "type": ["object", "null"],
        "description": "A JSON merge patch (RFC 7396) of the session's metadata, applied when the \
            reply is stored. With `error` it has no effect",
        "example": { "title": "About the weather" },
    }))
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
