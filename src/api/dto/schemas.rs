//! Schemas of what is passed on unread or has no Rust type of the same shape.

#![allow(
    dead_code,
    reason = "the derive macros read these, and nothing makes them"
)]

use std::collections::HashMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

/// How a reply comes: `websocket` by the sockets, the event stream and the history, `http` in the
/// answer.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum Transport {
    Websocket,
    Http,
}

/// An event of the stream of a reply. `openapi::streams` makes the schema.
#[derive(ToSchema)]
pub(in crate::api) struct ReplyStreamEvent;

/// An event of the stream of a session. `openapi::streams` makes the schema.
#[derive(ToSchema)]
pub(in crate::api) struct SessionStreamEvent;

/// What the client or the agent keeps with the message, and what the server says of it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct MessageMetadata {
    /// The session.
    #[schema(value_type = String, format = Uuid)]
    session_id: String,
    /// In an agent's message: what it thought, a text.
    #[schema(required = false)]
    thought: Value,
    /// In an agent's message: what it did, a list.
    #[schema(required = false)]
    actions: Value,
    /// In an agent's message: the model that wrote it, a text.
    #[schema(required = false)]
    model: Value,
    /// In an agent's message: why the model ended, in its server's words.
    #[schema(required = false)]
    finish_reason: Value,
    /// In an agent's message: true where it is only the beginning of what would have been said.
    #[schema(required = false)]
    truncated: Value,
    /// In a user's message: why the agent failed for good.
    #[schema(nullable = false)]
    agent_error: Option<MessageFailure>,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

/// Why there is no reply to a message.
#[derive(ToSchema)]
pub(in crate::api) struct MessageFailure {
    /// An error code of the API.
    code: String,
    /// For people.
    message: String,
}

/// What comes with a message: a picture, a file, a link.
#[derive(ToSchema)]
pub(in crate::api) struct Attachment {
    /// What it is.
    #[schema(min_length = 1, example = "image")]
    r#type: String,
    /// Where it is.
    #[schema(min_length = 1, example = "https://example.org/cat.png")]
    url: String,
    /// What it is called.
    #[schema(required = false, example = "A cat")]
    name: Value,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

/// Anything at all.
pub(in crate::api) struct Bytes;

impl utoipa::PartialSchema for Bytes {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        schema(json!({ "type": "string", "format": "binary" })).into()
    }
}

impl ToSchema for Bytes {}

/// A value of nothing but white space.
const BLANK: &str = "^\\s*$";

/// A point in time in a query.
pub(in crate::api) struct Cursor;

impl utoipa::PartialSchema for Cursor {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        const MOST: i64 = 1 << 53;
        schema(json!({ "anyOf": [
            { "type": "integer", "format": "int64", "minimum": -MOST, "maximum": MOST },
            { "type": "string", "format": "date-time" },
            { "type": "string", "pattern": BLANK, "description": "As if it were absent" },
        ] }))
        .into()
    }
}

impl ToSchema for Cursor {}

/// The id of an event, which a client has seen.
pub(in crate::api) struct EventId;

impl utoipa::PartialSchema for EventId {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        schema(json!({ "anyOf": [
            { "type": "integer", "format": "int64" },
            { "type": "string", "pattern": BLANK, "description": "As if it were absent" },
        ] }))
        .into()
    }
}

impl ToSchema for EventId {}

/// A schema as it is written in the document.
pub(super) fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap_or_default()
}
