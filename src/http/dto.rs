//! What goes over the wire when a call succeeds.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::Character;
use crate::app::{Health, SentMessage, Status};
use crate::app::{Page, Stats};
use crate::domain::id::{AgentId, MessageId, SessionId, UserId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::http::openapi::bodies;

/// Most responses are no larger.
const USUAL_BYTES: usize = 1024;

/// Most responses have no more headers.
const USUAL_HEADERS: usize = 10;

/// A JSON response.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    // The types here have string keys and no failing `Serialize`.
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    let _ = serde_json::to_writer(&mut bytes, value);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    // Room for those that every response gets, so that the map does not grow on the way.
    headers.reserve(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// A session.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionInfo<'a> {
    #[schema(value_type = String, format = Uuid)]
    session_id: SessionId,
    /// The same: a session is its own channel.
    #[schema(value_type = String, format = Uuid)]
    channel_id: SessionId,
    #[schema(value_type = String, format = Uuid)]
    agent_id: AgentId,
    /// The user, as the client names them.
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// When the user last did something in it.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    last_activity: Timestamp,
    /// The instant from which it is expired.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    expires_at: Timestamp,
    timeout_config: TimeoutInfo,
    /// How often it was renewed.
    renewal_count: u32,
    /// In milliseconds.
    time_remaining: i64,
    /// Whether no more is left than the warning threshold.
    is_near_expiration: bool,
    /// The client's own data.
    #[schema(value_type = Object)]
    metadata: Raw<'a>,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeoutInfo {
    /// How long it lives after its creation or last renewal.
    timeout_minutes: u32,
    /// Whether activity renews it.
    auto_renew: bool,
    /// How long it lives at most, renewed or not.
    max_duration_minutes: u32,
    /// How long before its expiry it counts as near it.
    warning_threshold_minutes: u32,
}

/// JSON that is stored as text.
#[derive(Serialize)]
#[serde(untagged)]
enum Raw<'a> {
    Text(&'a RawValue),
    Empty(Map<String, Value>),
}

impl<'a> From<&'a str> for Raw<'a> {
    fn from(text: &'a str) -> Self {
        // What is stored was written as JSON, under a checksum.
        serde_json::from_str(text).map_or_else(|_| Self::Empty(Map::new()), Self::Text)
    }
}

impl<'a> SessionInfo<'a> {
    pub(super) fn new(session: &'a Session, now: Timestamp) -> Self {
        Self {
            session_id: session.id,
            channel_id: session.id,
            agent_id: session.agent_id,
            user_id: session.user_id,
            created_at: session.created_at,
            last_activity: session.last_activity,
            expires_at: session.expires_at,
            timeout_config: TimeoutInfo {
                timeout_minutes: session.timeout.timeout_minutes,
                auto_renew: session.timeout.auto_renew,
                max_duration_minutes: session.timeout.max_duration_minutes,
                warning_threshold_minutes: session.timeout.warning_threshold_minutes,
            },
            renewal_count: session.renewal_count,
            time_remaining: session.time_remaining(now).0,
            is_near_expiration: session.is_near_expiration(now),
            metadata: session.metadata.as_str().into(),
        }
    }
}

/// The numbers of a session list.
#[derive(ToSchema, Serialize)]
pub(super) struct StatsInfo {
    /// The sum of the other two.
    #[serde(rename = "totalSessions")]
    total: u64,
    /// Sessions that can be used.
    #[serde(rename = "activeSessions")]
    active: u64,
    /// Sessions that have expired and are still kept.
    #[serde(rename = "expiredSessions")]
    expired: u64,
}

impl From<Stats> for StatsInfo {
    fn from(stats: Stats) -> Self {
        Self {
            total: stats.active + stats.expired,
            active: stats.active,
            expired: stats.expired,
        }
    }
}

/// A user's message in the answer to its sending.
#[derive(ToSchema, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserMessage {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    #[schema(value_type = String, format = Uuid)]
    channel_id: SessionId,
    content: String,
    #[schema(value_type = String, format = Uuid)]
    author_id: Uuid,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// The session's metadata, then the message's own, then `sessionId`.
    #[schema(value_type = bodies::MessageMetadata)]
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    attachments: Option<Value>,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<String>,
}

impl UserMessage {
    pub(super) fn new(
        session: &Session,
        message: &Message,
        client_message_id: Option<&str>,
    ) -> Self {
        Self {
            id: message.id,
            channel_id: session.id,
            content: message.body.content.clone(),
            author_id: message.author_id,
            created_at: message.created_at,
            metadata: metadata(session, message),
            attachments: parsed(message.body.attachments.as_deref()),
            client_message_id: client_message_id.map(str::to_owned),
        }
    }
}

/// An agent's reply in the answer to a message, and at the end of a stream.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentResponse {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    /// What the agent says.
    text: String,
    /// What it thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<String>,
    /// What it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    actions: Option<Value>,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    in_reply_to: Option<MessageId>,
}

impl From<&Message> for AgentResponse {
    fn from(reply: &Message) -> Self {
        let (in_reply_to, thought, actions) = match &reply.role {
            Role::Agent {
                in_reply_to,
                thought,
                actions,
            } => (*in_reply_to, thought.clone(), parsed(actions.as_deref())),
            Role::User { .. } => (None, None, None),
        };
        Self {
            id: reply.id,
            text: reply.body.content.clone(),
            thought,
            actions,
            created_at: reply.created_at,
            in_reply_to,
        }
    }
}

/// What sending a message did to its session.
#[derive(ToSchema, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionStatus {
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    expires_at: Timestamp,
    renewal_count: u32,
    /// Whether this call renewed the session.
    was_renewed: bool,
    is_near_expiration: bool,
}

impl SessionStatus {
    pub(super) fn new(session: &Session, was_renewed: bool, now: Timestamp) -> Self {
        Self {
            expires_at: session.expires_at,
            renewal_count: session.renewal_count,
            was_renewed,
            is_near_expiration: session.is_near_expiration(now),
        }
    }
}

/// The answer to a message that was sent: one object for every documented shape.
pub(super) fn sent(message: &SentMessage, reply: Option<&Message>, now: Timestamp) -> Value {
    answer(&user_message(message), reply, &session_status(message, now))
}

/// The same of its parts.
pub(super) fn answer(
    user_message: &UserMessage,
    reply: Option<&Message>,
    status: &SessionStatus,
) -> Value {
    let reply = reply.map(AgentResponse::from);
    let mut data = Map::new();
    data.insert("success".into(), true.into());
    data.insert("userMessage".into(), json!(user_message));
    if let Some(reply) = reply {
        data.insert("agentResponse".into(), json!(reply));
    }
    data.insert("sessionStatus".into(), json!(status));

    let mut answer = Map::new();
    answer.insert("success".into(), true.into());
    if let Some(Value::Object(user_message)) = data.get("userMessage") {
        // The oldest documented shape is the message itself.
        for name in ["id", "content", "authorId", "createdAt", "metadata"] {
            answer.extend(
                user_message
                    .get(name)
                    .map(|value| (name.to_owned(), value.clone())),
            );
        }
    }
    answer.extend(
        data.iter()
            .skip(1)
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    answer.insert("data".into(), data.into());
    answer.into()
}

/// The user's message of a send.
pub(super) fn user_message(message: &SentMessage) -> UserMessage {
    let client_message_id = message.client_message_id.as_deref();
    UserMessage::new(
        &message.sent.session,
        &message.sent.message,
        client_message_id,
    )
}

/// The state of the session after a send.
pub(super) fn session_status(message: &SentMessage, now: Timestamp) -> SessionStatus {
    SessionStatus::new(&message.sent.session, message.sent.renewed, now)
}

/// A page of messages.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageList {
    /// Newest first.
    messages: Vec<MessageInfo>,
    /// Whether there are more in the direction of paging.
    has_more: bool,
    /// Where to go on; absent where there is no message.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursors: Option<Cursors>,
}

#[derive(ToSchema, Serialize)]
struct Cursors {
    /// The time of the oldest message, in milliseconds of the epoch.
    before: i64,
    /// The time of the newest message, in milliseconds of the epoch.
    after: i64,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageInfo {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    content: String,
    /// The user's or the agent's id.
    #[schema(value_type = String, format = Uuid)]
    author_id: Uuid,
    is_agent: bool,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// With `thought` and `actions` in an agent's message, and with `agentError` in a user's where
    /// the agent failed for good.
    #[schema(value_type = bodies::MessageMetadata)]
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    attachments: Option<Value>,
    /// The message that a reply answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    in_reply_to: Option<MessageId>,
}

impl MessageList {
    pub(super) fn new(session: &Session, page: &Page) -> Self {
        let cursors = match (page.messages.last(), page.messages.first()) {
            (Some(oldest), Some(newest)) => Some(Cursors {
                before: oldest.created_at.0,
                after: newest.created_at.0,
            }),
            _ => None,
        };
        let messages = page
            .messages
            .iter()
            .map(|message| MessageInfo::new(session, message));
        Self {
            messages: messages.collect(),
            has_more: page.has_more,
            cursors,
        }
    }
}

/// What a submission answers.
#[derive(ToSchema, Serialize)]
pub(super) struct Submitted {
    success: bool,
    data: SubmittedMessage,
}

/// A reply that was submitted.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubmittedMessage {
    #[serde(flatten)]
    message: MessageInfo,
    /// The session.
    #[schema(value_type = String, format = Uuid)]
    channel_id: SessionId,
}

impl Submitted {
    pub(super) fn new(session: &Session, message: &Message) -> Self {
        Self {
            success: true,
            data: SubmittedMessage {
                message: MessageInfo::new(session, message),
                channel_id: session.id,
            },
        }
    }
}

/// What a deletion answers.
#[derive(ToSchema, Serialize)]
pub(super) struct Deleted {
    success: bool,
    message: String,
    data: DeletedData,
}

/// The same once more.
#[derive(ToSchema, Serialize)]
struct DeletedData {
    success: bool,
    message: String,
}

impl Deleted {
    pub(super) fn new(id: SessionId) -> Self {
        let message = format!("Session {id} deleted successfully");
        Self {
            success: true,
            message: message.clone(),
            data: DeletedData {
                success: true,
                message,
            },
        }
    }
}

impl MessageInfo {
    fn new(session: &Session, message: &Message) -> Self {
        let in_reply_to = match &message.role {
            Role::Agent { in_reply_to, .. } => *in_reply_to,
            Role::User { .. } => None,
        };
        Self {
            id: message.id,
            content: message.body.content.clone(),
            author_id: message.author_id,
            is_agent: message.is_agent(),
            created_at: message.created_at,
            metadata: metadata(session, message),
            attachments: parsed(message.body.attachments.as_deref()),
            in_reply_to,
        }
    }
}

/// A message's metadata. A user's message inherits its session's; the session's id is always the
/// server's own.
fn metadata(session: &Session, message: &Message) -> Map<String, Value> {
    let own = object(message.body.metadata.as_deref());
    let mut metadata = match &message.role {
        Role::User { turn, .. } => {
            let mut metadata = object(Some(&session.metadata));
            metadata.extend(own);
            metadata.shift_remove("agentError");
            if let TurnState::Failed(failure) = turn {
                let error = json!({ "code": failure.code, "message": failure.message });
                metadata.insert("agentError".into(), error);
            }
            metadata
        }
        Role::Agent {
            thought, actions, ..
        } => {
            let mut metadata = own;
            if let Some(thought) = thought {
                metadata.insert("thought".into(), thought.clone().into());
            }
            if let Some(actions) = parsed(actions.as_deref()) {
                metadata.insert("actions".into(), actions);
            }
            metadata
        }
    };
    metadata.insert("sessionId".into(), session.id.to_string().into());
    metadata
}

fn object(text: Option<&str>) -> Map<String, Value> {
    match text {
        None | Some("{}") => Map::new(),
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}

fn parsed(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// The state of the service.
pub(super) fn health(health: &Health, now: Timestamp) -> Map<String, Value> {
    let count = |count: fn(&Stats) -> u64| health.stats.as_ref().map_or(0, count);
    let mut body = Map::new();
    body.insert("status".into(), status(health.status).into());
    body.insert("activeSessions".into(), count(|stats| stats.active).into());
    body.insert("timestamp".into(), now.to_string().into());
    body.insert(
        "expiringSoon".into(),
        count(|stats| stats.near_expiration).into(),
    );
    if health.invalid_sessions > 0 {
        body.insert("invalidSessions".into(), health.invalid_sessions.into());
    }
    body.insert("uptime".into(), health.uptime.as_secs_f64().into());
    body
}

/// The status and nothing else.
pub(super) fn overall(health: &Health) -> Map<String, Value> {
    Map::from_iter([("status".to_owned(), status(health.status).into())])
}

/// The word for a status.
fn status(status: Status) -> &'static str {
    match status {
        Status::Healthy => "healthy",
        Status::Degraded => "degraded",
        Status::Unhealthy => "unhealthy",
    }
}

/// An agent in the list.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentSummary<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: AgentId,
    name: &'a str,
    character_name: &'a str,
    /// The first line of it.
    bio: &'a str,
    status: &'static str,
    enabled: bool,
    /// In milliseconds of the epoch.
    created_at: i64,
    /// In milliseconds of the epoch.
    updated_at: i64,
}

impl<'a> From<&'a Character> for AgentSummary<'a> {
    fn from(character: &'a Character) -> Self {
        Self {
            id: character.id,
            name: &character.name,
            character_name: &character.name,
            bio: character.bio_line(),
            status: "active",
            enabled: true,
            created_at: character.modified_at.0,
            updated_at: character.modified_at.0,
        }
    }
}

/// The agents.
#[derive(ToSchema, Serialize)]
pub(super) struct AgentListAnswer<'a> {
    success: bool,
    data: AgentList<'a>,
}

/// The agents.
#[derive(ToSchema, Serialize)]
struct AgentList<'a> {
    agents: Vec<AgentSummary<'a>>,
}

impl<'a> AgentListAnswer<'a> {
    pub(super) fn new(characters: impl Iterator<Item = &'a Character>) -> Self {
        Self {
            success: true,
            data: AgentList {
                agents: characters.map(AgentSummary::from).collect(),
            },
        }
    }
}

/// An agent by itself: the summary, and what may be shown of its file.
pub(super) fn agent(character: &Character) -> Value {
    let mut data = json!(AgentSummary::from(character));
    if let (Some(data), Value::Object(profile)) = (data.as_object_mut(), json!(character.profile)) {
        data.extend(profile);
    }
    json!({ "success": true, "data": data })
}
