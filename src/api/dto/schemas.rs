//! Schemas that no Rust type of the same shape has.

#![allow(dead_code, reason = "only the derive macros read these types")]

use std::collections::HashMap;

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// How the reply arrives: `websocket` over the sockets, the event stream and the history, `http` in
/// the response.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum Transport {
    Websocket,
    Http,
}

/// The sessions of a list.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum StatusParameter {
    Active,
    Expired,
    All,
}

/// What a list adds to each session.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) enum IncludeParameter {
    LastMessage,
}

/// An event of the stream of a reply. `openapi::streams` replaces this schema.
#[derive(ToSchema)]
pub(in crate::api) struct ReplyStreamEvent;

/// An event of the stream of a session. `openapi::streams` replaces this schema.
#[derive(ToSchema)]
pub(in crate::api) struct SessionStreamEvent;

/// An event of the stream of an agent's work. `openapi::streams` makes the schema.
#[derive(ToSchema)]
pub(in crate::api) struct AgentStreamEvent;

/// The metadata that the client or the agent stores with a message, and the server's own entries.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct MessageMetadata {
    /// The session.
    #[schema(format = Uuid)]
    session_id: String,
    /// In an agent's message: the agent's reasoning, a text.
    #[schema(required = false)]
    thought: Value,
    /// In an agent's message: the actions that the agent took, a list.
    #[schema(required = false)]
    actions: Value,
    /// In an agent's message: the model that wrote it, a text.
    #[schema(required = false)]
    model: Value,
    /// In an agent's message: why the model stopped, as its server reports it.
    #[schema(required = false)]
    finish_reason: Value,
    /// In an agent's message: the tokens that the model has read and written, an object
    /// `{inputTokens, outputTokens}`.
    #[schema(required = false)]
    usage: Value,
    /// In an agent's message: true if it is incomplete.
    #[schema(required = false)]
    truncated: Value,
    /// In a user's message: why the agent failed to reply.
    #[schema(nullable = false)]
    agent_error: Option<MessageFailure>,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

/// Why a message has no reply.
#[derive(ToSchema)]
pub(in crate::api) struct MessageFailure {
    /// An error code of the API.
    code: String,
    /// For people.
    message: String,
    /// The cause, for programs. Failures that older versions of the server stored may have none.
    #[schema(nullable = false)]
    reason: Option<FailureReason>,
}

/// Why an agent did not reply.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::api) enum FailureReason {
    /// Its server cannot be reached or cannot work at present.
    Unavailable,
    /// Its server is overloaded.
    Busy,
    /// The conversation is longer than it accepts.
    TooLong,
    /// It declined to answer.
    Refused,
    /// The operator has to change a setting of the agent.
    Misconfigured,
    /// It did not answer in time.
    Timeout,
    /// Its answer was interrupted or cannot be read.
    InvalidReply,
    /// The turn was cancelled.
    Cancelled,
    /// The session expired before the agent was asked.
    Expired,
    /// The server is at fault.
    Internal,
}

/// The level of a retained line of the log.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
pub(in crate::api) enum LogLevel {
    Warn,
    Error,
}

/// The value of a field in the log.
#[derive(ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum LogValue {
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// An attachment of a message: a picture, a file, a link.
#[derive(ToSchema)]
pub(in crate::api) struct Attachment {
    /// Its kind.
    #[schema(min_length = 1, example = "image")]
    r#type: String,
    /// Its address.
    #[schema(min_length = 1, example = "https://example.org/cat.png")]
    url: String,
    /// Its title.
    #[schema(required = false, example = "A cat")]
    name: Value,
    #[serde(flatten)]
    more: HashMap<String, Value>,
}

/// Any bytes.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(in crate::api) struct Bytes(());

/// A time in a query.
pub(in crate::api) struct Cursor;

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        const MAX: i64 = 1 << 53;
        schema(json!({ "anyOf": [
            { "type": "integer", "format": "int64", "minimum": -MAX, "maximum": MAX },
            { "type": "string", "format": "date-time" },
            blank(),
        ] }))
        .into()
    }
}

impl ToSchema for Cursor {}

/// The id of an event that the client has received.
pub(in crate::api) struct EventId;

impl PartialSchema for EventId {
    fn schema() -> RefOr<Schema> {
        let id = json!({ "type": "integer", "format": "int64" });
        schema(json!({ "anyOf": [id, blank()] })).into()
    }
}

impl ToSchema for EventId {}

fn blank() -> Value {
    json!({ "type": "string", "pattern": "^\\s*$", "description": "The same as absent" })
}

pub(super) fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap_or_default()
}
