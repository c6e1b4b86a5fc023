//! What is answered, and parts of what is taken, where the code has no type of the same shape: some
//! answers are put together of several types, and some parts of requests are passed on unread.

#![allow(
    dead_code,
    reason = "these are read by the description's macros, and never made"
)]

use std::collections::HashMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::api::dto::{SessionInfo, StatsInfo, UserMessage};

/// How a reply comes: `websocket` by the sockets, the event stream and the history, `http` in the
/// answer.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum Transport {
    Websocket,
    Http,
}

/// A list of sessions.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct SessionList<'a> {
    /// Active sessions, newest first.
    sessions: Vec<SessionInfo<'a>>,
    /// Where the next page begins; absent on the last one.
    #[schema(value_type = Option<String>, format = Uuid)]
    next_cursor: Option<String>,
    /// How many sessions the filter matches.
    total: u64,
    stats: StatsInfo,
}

/// How the service is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct SessionsHealth {
    #[schema(schema_with = status)]
    status: (),
    /// Why it is not healthy; absent where it is.
    #[schema(schema_with = reasons, required = false)]
    reasons: (),
    active_sessions: u64,
    #[schema(value_type = String, format = DateTime)]
    timestamp: String,
    /// Active sessions within their warning threshold.
    expiring_soon: u64,
    /// Sessions with damaged records; absent where there are none.
    invalid_sessions: Option<u64>,
    /// For how many seconds the server has been running.
    uptime: f64,
}

/// The status and nothing else.
#[derive(ToSchema)]
pub(in crate::api) struct Health {
    #[schema(schema_with = status)]
    status: (),
}

/// The process answers.
#[derive(ToSchema)]
pub(in crate::api) struct Alive {
    #[schema(schema_with = ok)]
    status: (),
}

/// An agent.
#[derive(ToSchema)]
pub(in crate::api) struct AgentAnswer {
    success: bool,
    data: AgentDetail,
}

/// An agent, with what may be shown of its file.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct AgentDetail {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    name: String,
    character_name: String,
    /// As in the file: a text, or a list of lines.
    #[schema(required = false)]
    bio: Value,
    status: String,
    enabled: bool,
    /// In milliseconds of the epoch.
    created_at: i64,
    /// In milliseconds of the epoch.
    updated_at: i64,
    /// As in the file, like all that follows.
    #[schema(required = false)]
    username: Value,
    #[schema(required = false)]
    system: Value,
    #[schema(required = false)]
    adjectives: Value,
    #[schema(required = false)]
    topics: Value,
    #[schema(required = false)]
    style: Value,
    #[schema(required = false)]
    message_examples: Value,
    #[schema(required = false)]
    post_examples: Value,
    #[schema(required = false)]
    plugins: Value,
}

/// A call that failed.
#[derive(ToSchema)]
#[schema(as = ApiError)]
#[allow(clippy::struct_field_names)] // The wire has it so.
pub(in crate::api) struct Error {
    #[schema(schema_with = no)]
    success: (),
    error: ErrorDetail,
    /// The same as `error.code`.
    code: String,
    /// What happened, for programs.
    details: ErrorDetails,
}

/// What went wrong.
#[derive(ToSchema)]
pub(in crate::api) struct ErrorDetail {
    #[schema(example = "SESSION_EXPIRED")]
    code: String,
    #[schema(example = "SessionExpiredError")]
    r#type: String,
    /// For people.
    message: String,
    /// For people, in more words.
    details: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: String,
}

/// What an error is about: of these, what its code says.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct ErrorDetails {
    /// The field that is not valid.
    #[schema(nullable = false)]
    field: Option<String>,
    /// The query's parameter that is not valid.
    #[schema(nullable = false)]
    parameter: Option<String>,
    /// What was given, at most 100 characters of it.
    #[schema(nullable = false)]
    value: Option<String>,
    #[schema(nullable = false)]
    missing_fields: Option<Vec<String>>,
    /// Why, in words.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// How large metadata may be.
    #[schema(nullable = false)]
    max_bytes: Option<u64>,
    #[schema(nullable = false)]
    method: Option<String>,
    #[schema(nullable = false)]
    path: Option<String>,
    /// As the call named it.
    #[schema(nullable = false)]
    session_id: Option<String>,
    /// As the call named it.
    #[schema(nullable = false)]
    agent_id: Option<String>,
    /// When the session expired.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<String>,
    /// How long the session can last.
    #[schema(nullable = false)]
    max_duration_minutes: Option<u32>,
    /// When the session was created.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    created_at: Option<String>,
    /// In milliseconds.
    #[schema(nullable = false)]
    time_since_creation: Option<i64>,
    /// The idempotency key.
    #[schema(nullable = false)]
    key: Option<String>,
    /// After how many seconds to try again.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
    /// `unknown` where a commit failed half-way: it may or may not be stored.
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// The message that was kept.
    #[schema(nullable = false)]
    user_message: Option<UserMessage<'static>>,
    /// Whether the reply to it may still come.
    #[schema(nullable = false)]
    pending: Option<bool>,
}

/// An event of the stream of a reply. [`super::streams`] has the schema.
#[derive(ToSchema)]
pub(in crate::api) struct ReplyStreamEvent;

/// An event of the stream of a session. [`super::streams`] has the schema.
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

/// How the service is, and the error that it is.
pub(in crate::api) struct UnhealthySessions;

impl utoipa::PartialSchema for UnhealthySessions {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        both("SessionsHealth", "ApiError").into()
    }
}

impl ToSchema for UnhealthySessions {}

/// The status, and the error that it is.
pub(in crate::api) struct Unhealthy;

impl utoipa::PartialSchema for Unhealthy {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        both("Health", "ApiError").into()
    }
}

impl ToSchema for Unhealthy {}

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
fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap_or_default()
}

fn both(one: &str, other: &str) -> Schema {
    let reference = |name| json!({ "$ref": format!("#/components/schemas/{name}") });
    schema(json!({ "allOf": [reference(one), reference(other)] }))
}

fn no() -> Schema {
    schema(json!({ "type": "boolean", "enum": [false] }))
}

fn ok() -> Schema {
    schema(json!({ "type": "string", "enum": ["ok"] }))
}

fn status() -> Schema {
    schema(json!({
        "type": "string",
        "enum": ["healthy", "degraded", "unhealthy"],
        "description": "`degraded` while something stored is damaged, `unhealthy` while nothing new can be stored",
    }))
}

fn reasons() -> Schema {
    schema(json!({
        "type": "array",
        "items": {
            "type": "string",
            "enum": ["commit_failed", "no_space", "file_replaced", "undecodable_records", "damaged_pages"],
        },
        "description": "Why it is not healthy; absent where it is. Unhealthy: `commit_failed` (the last commit failed; it is tried again every second), `no_space` (there is no free space for new data), `file_replaced` (the open database file is not the one at its path). Degraded: `undecodable_records` (records that cannot be decoded, counted in `invalidSessions`), `damaged_pages` (the last verification of the file found damage)",
    }))
}
