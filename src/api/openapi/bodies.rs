//! What is taken and answered, where the code has no type of the same shape: requests are read
//! field by field, since each wrong one has an error of its own, and some answers are put together
//! of several types.

#![allow(
    dead_code,
    reason = "these are read by the description's macros, and never made"
)]

use std::collections::HashMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use crate::api::dto::{SessionInfo, StatsInfo, UserMessage};
use crate::app::SUBMIT_SPELLINGS;

/// A new session.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct CreateSessionRequest {
    /// Who answers.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", example = "b850bc30-45f8-0041-a00a-83df46d8555d")]
    agent_id: String,
    /// Who asks: any UUID of the client's own.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", example = "3c90c3cc-0d44-4b50-8888-8dd25736052a")]
    user_id: String,
    /// Anything that the client wants to keep with the session, at most 10,240 bytes.
    #[schema(schema_with = metadata)]
    metadata: Option<()>,
    /// How long it lives. What is absent is the agent's setting, else the server's.
    #[schema(schema_with = create_timeouts)]
    timeout_config: Option<()>,
}

/// A user's message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct SendMessageRequest {
    /// What is said.
    #[schema(min_length = 1, max_length = 4000, example = "Hello!")]
    content: String,
    /// Anything that the client wants to keep with the message, at most 10,240 bytes.
    #[schema(schema_with = metadata)]
    metadata: Option<()>,
    /// What comes with it, 16 KiB in all.
    #[schema(max_items = 10)]
    attachments: Option<Vec<Attachment>>,
    /// How the reply comes. Where it is absent, the older `mode` is read: `websocket`, or `sync` for
    /// `http`. `sse`, the older `stream`, makes the answer that of `…/messages/stream`.
    transport: Option<Transport>,
    /// A name for the message, under which a repeat stores nothing.
    #[schema(schema_with = client_message_id)]
    client_message_id: Option<()>,
}

/// How a reply comes: `websocket` by the sockets, the event stream and the history, `http` in the
/// answer.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(in crate::api) enum Transport {
    Websocket,
    Http,
}

/// A user's message whose reply is streamed. A `transport` or `mode` in it is ignored.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct StreamMessageRequest {
    /// What is said.
    #[schema(min_length = 1, max_length = 4000, example = "Hello!")]
    content: String,
    /// Anything that the client wants to keep with the message, at most 10,240 bytes.
    #[schema(schema_with = metadata)]
    metadata: Option<()>,
    /// What comes with it, 16 KiB in all.
    #[schema(max_items = 10)]
    attachments: Option<Vec<Attachment>>,
    /// A name for the message, under which a repeat stores nothing.
    #[schema(schema_with = client_message_id)]
    client_message_id: Option<()>,
}

/// A reply of an agent that runs elsewhere.
#[derive(ToSchema)]
pub(in crate::api) struct SubmitRequest {
    /// The session.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", example = "018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44")]
    channel_id: String,
    /// The session's agent.
    #[schema(value_type = String, format = Uuid, pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", example = "b850bc30-45f8-0041-a00a-83df46d8555d")]
    author_id: String,
    /// What the agent says, at most 64 KiB.
    #[schema(min_length = 1, example = "Here I am.")]
    content: String,
    /// A name for the reply, under which a repeat stores nothing.
    #[schema(rename = "messageId", schema_with = client_message_id)]
    message_id: Option<()>,
    /// The message that it answers.
    #[schema(schema_with = answered)]
    in_reply_to_message_id: Option<()>,
    /// Its `thought`, a text, and its `actions`, a list, are taken over.
    #[schema(required = false)]
    raw_message: Value,
    /// Anything that the agent wants to keep with it, at most 10,240 bytes.
    #[schema(schema_with = metadata)]
    metadata: Option<()>,
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

/// Names the other spelling of a submission's fields. They are not fields of the schema: a body
/// that may have one field or the other takes an `anyOf`, for which generated clients have no type.
pub(super) fn add_spellings(request: &mut Value) {
    for (name, other) in SUBMIT_SPELLINGS {
        let description = &mut request["properties"][name]["description"];
        let text = description.as_str().unwrap_or_default();
        *description = format!("{text} Where it is absent, `{other}` is read in its place.").into();
    }
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

fn metadata() -> Schema {
    schema(
        json!({ "type": ["object", "null"], "description": "Anything that the client wants to keep with it, at most 10,240 bytes", "example": { "platform": "web", "username": "Ada" } }),
    )
}

fn client_message_id() -> Schema {
    schema(
        json!({ "type": ["string", "null"], "pattern": "^[!-~]{1,255}$", "example": "m-1",
        "description": "A name for the message, under which a repeat stores nothing" }),
    )
}

fn answered() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "format": "uuid",
        "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "description": "The message that it answers.",
    }))
}

/// Numbers may come as strings, which are read as JavaScript reads them; what is none then, or
/// null, is as good as absent.
fn minutes(least: u32, most: Option<u32>) -> Value {
    let mut minutes = json!({ "type": ["number", "string", "null"], "example": least.max(1) });
    if let (Some(minutes), Some(most)) = (minutes.as_object_mut(), most) {
        minutes.insert("minimum".into(), least.into());
        minutes.insert("maximum".into(), most.into());
    }
    minutes
}

fn timeouts(is_nullable: bool, timeout: &Value) -> Schema {
    let kind = if is_nullable {
        json!(["object", "null"])
    } else {
        json!("object")
    };
    schema(json!({
        "type": kind,
        "description": "How long a session lives. Numbers may be strings",
        "properties": {
            "timeoutMinutes": timeout,
            "autoRenew": { "type": ["boolean", "null"] },
            "maxDurationMinutes": minutes(720, None),
            "warningThresholdMinutes": minutes(5, None),
        },
    }))
}

fn create_timeouts() -> Schema {
    timeouts(true, &minutes(30, None))
}

/// Other timeouts for a session. What is absent stays as it is.
pub(in crate::api) struct TimeoutRequest;

impl utoipa::PartialSchema for TimeoutRequest {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        // The server's own bounds may be others; these are the ones that it has unless they are set.
        timeouts(false, &minutes(5, Some(1440))).into()
    }
}

impl ToSchema for TimeoutRequest {}
