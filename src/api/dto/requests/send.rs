//! Sending a message.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{Object, field_key, header_key, key_schema, metadata_schema};
use crate::api::dto::schemas;
use crate::app::NewMessage;
use crate::app::error::ValidationError;
use crate::domain::message::{Body, InvalidMessage, check_content};
use crate::json::Field;
use crate::message_json::{attachments, message_metadata};

/// How a client receives the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyTransport {
    /// Later, over a socket or from the history.
    Websocket,
    Http,
    Sse,
}

/// A user's message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SendMessageRequest {
    /// The text.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 4000)]
    #[schema(example = "Hello!")]
    content: Field<String>,
    #[serde(default)]
    #[schema(schema_with = metadata_schema)]
    metadata: Field<Object>,
    /// The attachments, 16 KiB in all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schemas::Attachment>>, max_items = 10)]
    attachments: Field<Vec<Value>>,
    /// How the reply is delivered. If absent, the older `mode` is read: `websocket`, or `sync` for
    /// `http`. With `sse`, or the older `stream`, the response is that of `…/messages/stream`.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Transport>)]
    transport: Field<String>,
    #[serde(default)]
    #[schema(ignore)]
    mode: Field<String>,
    #[serde(default)]
    #[schema(schema_with = key_schema)]
    client_message_id: Field<String>,
}

/// A user's message whose reply is streamed. A `transport` or `mode` in it is ignored.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StreamMessageRequest {
    /// The text.
    #[serde(default)]
    #[schema(required = true, value_type = String, min_length = 1, max_length = 4000)]
    #[schema(example = "Hello!")]
    pub(crate) content: Field<String>,
    #[serde(default)]
    #[schema(schema_with = metadata_schema)]
    pub(crate) metadata: Field<Object>,
    /// The attachments, 16 KiB in all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<schemas::Attachment>>, max_items = 10)]
    pub(crate) attachments: Field<Vec<Value>>,
    #[serde(default)]
    #[schema(schema_with = key_schema)]
    pub(crate) client_message_id: Field<String>,
}

impl SendMessageRequest {
    /// Validates the fields and the key of the header. Fails with the first invalid one.
    pub(crate) fn validate(
        self,
        key: Option<&str>,
    ) -> Result<(ReplyTransport, NewMessage), ValidationError> {
        let transport = transport(self.transport, self.mode)?;
        let message = StreamMessageRequest {
            content: self.content,
            metadata: self.metadata,
            attachments: self.attachments,
            client_message_id: self.client_message_id,
        };
        Ok((transport, message.validate(key)?))
    }
}

impl StreamMessageRequest {
    /// Validates the fields and the key of the header. Fails with the first invalid one.
    pub(crate) fn validate(self, key: Option<&str>) -> Result<NewMessage, ValidationError> {
        let key = header_key(key)?;
        let client_message_id = field_key("clientMessageId", self.client_message_id)?;
        Ok(NewMessage {
            body: Body {
                content: content(self.content)?,
                metadata: message_metadata(self.metadata)?,
                attachments: attachments(self.attachments)?,
            },
            key,
            client_message_id,
        })
    }
}

fn content(sent: Field<String>) -> Result<String, InvalidMessage> {
    let text = sent.given().map_err(|found| {
        InvalidMessage::content(format!("content must be a string, not {found}"))
    })?;
    let text = text.ok_or_else(|| InvalidMessage::content("content is required".into()))?;
    check_content(&text)?;
    Ok(text)
}

/// Parses the transport, or the older `mode` if that is absent.
fn transport(sent: Field<String>, mode: Field<String>) -> Result<ReplyTransport, ValidationError> {
    let (field, sent, words) = match (sent, mode) {
        (Field::Absent | Field::Null, Field::Absent | Field::Null) => {
            return Ok(ReplyTransport::Websocket);
        }
        (Field::Absent | Field::Null, mode) => ("mode", mode, ["websocket", "sync", "stream"]),
        (transport, _) => ("transport", transport, ["websocket", "http", "sse"]),
    };
    let [websocket, http, sse] = words;
    let expected = format!("{field} must be \"{websocket}\", \"{http}\" or \"{sse}\"");
    let invalid = |reason| ValidationError::Content { field, reason };
    let word = sent.given();
    let word = word.map_err(|found| invalid(format!("{expected}, not {found}")))?;
    match word.unwrap_or_default() {
        word if word == websocket => Ok(ReplyTransport::Websocket),
        word if word == http => Ok(ReplyTransport::Http),
        word if word == sse => Ok(ReplyTransport::Sse),
        _ => Err(invalid(expected)),
    }
}
