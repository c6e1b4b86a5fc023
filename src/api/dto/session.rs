//! Sessions.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{MessagePreview, Stats};
use crate::domain::continued::ContinuedFrom;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::json::raw_object;

/// A session.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SessionInfo<'a> {
    session_id: Uuid,
    /// The same as `sessionId`: a session is its own channel.
    channel_id: Uuid,
    agent_id: Uuid,
    /// The user's id, chosen by the client.
    user_id: Uuid,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// The time of the user's last activity.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    last_activity: Timestamp,
    /// The session is expired from this instant on.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    expires_at: Timestamp,
    timeout_config: TimeoutInfo,
    /// How many times the session was renewed.
    renewal_count: u32,
    /// In milliseconds.
    time_remaining: i64,
    /// Whether the remaining time is within the warning threshold.
    is_near_expiration: bool,
    status: SessionPhase,
    /// When an expired session is removed; absent for an active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        value_type = Option<String>, nullable = false, format = DateTime,
        example = "2024-01-22T10:30:45.123Z"
    )]
    retained_until: Option<Timestamp>,
    /// The client's own data.
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    continued_from: Option<ContinuedInfo>,
    /// The newest message, or null; absent unless the list was asked to include it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<LastMessage>)]
    #[expect(clippy::option_option, reason = "absent and null differ")]
    last_message: Option<Option<LastMessage>>,
}

/// The beginning of a session's newest message.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct LastMessage {
    /// The first 120 characters of the content.
    content: String,
    /// Whether the agent wrote it.
    is_agent: bool,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
}

/// The session that this one continues: its first messages are copies.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schema(as = ContinuedFrom)]
struct ContinuedInfo {
    /// The other session, which may be gone.
    session_id: Uuid,
    /// The last message of it that was copied; null if it had none.
    message_id: Option<Uuid>,
    /// The number of copied messages.
    copied: u32,
    /// Whether all messages up to the last one were copied.
    complete: bool,
}

/// Whether a session can be used.
#[derive(ToSchema, Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SessionPhase {
    Active,
    /// Its messages can still be read.
    Expired,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeoutInfo {
    /// How long the session lives after its creation or last renewal.
    timeout_minutes: u32,
    /// Whether activity renews the session.
    auto_renew: bool,
    /// How long the session can live from its creation, renewals included.
    max_duration_minutes: u32,
    /// How long before its expiry the session is near expiration.
    warning_threshold_minutes: u32,
}

impl<'a> SessionInfo<'a> {
    /// `retention` is how long sessions are retained after their expiry.
    pub(in crate::api) fn new(session: &'a Session, now: Timestamp, retention: Millis) -> Self {
        let is_active = now < session.expires_at;
        Self {
            session_id: session.id.0,
            channel_id: session.id.0,
            agent_id: session.agent_id.0,
            user_id: session.user_id.0,
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
            status: if is_active {
                SessionPhase::Active
            } else {
                SessionPhase::Expired
            },
            retained_until: (!is_active).then(|| session.expires_at + retention),
            metadata: raw_object(&session.metadata),
            continued_from: session.continued_from.map(ContinuedInfo::from),
            last_message: None,
        }
    }

    pub(in crate::api) fn with_last_message(self, message: Option<MessagePreview>) -> Self {
        Self {
            last_message: Some(message.map(LastMessage::from)),
            ..self
        }
    }
}

impl From<MessagePreview> for LastMessage {
    fn from(message: MessagePreview) -> Self {
        Self {
            content: message.content,
            is_agent: message.is_agent,
            created_at: message.created_at,
        }
    }
}

impl From<ContinuedFrom> for ContinuedInfo {
    fn from(continued: ContinuedFrom) -> Self {
        Self {
            session_id: continued.session_id.0,
            message_id: continued.message_id.map(|id| id.0),
            copied: continued.copied,
            complete: continued.complete,
        }
    }
}

/// The number of sessions by status.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct StatsInfo {
    /// The sum of the other two.
    #[serde(rename = "totalSessions")]
    total: u64,
    /// Active sessions.
    #[serde(rename = "activeSessions")]
    active: u64,
    /// Expired sessions that are still retained.
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

/// The session after a message was sent.
#[derive(ToSchema, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SessionStatus {
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    expires_at: Timestamp,
    renewal_count: u32,
    /// Whether this call renewed the session.
    was_renewed: bool,
    is_near_expiration: bool,
}

impl SessionStatus {
    pub(in crate::api) fn new(session: &Session, was_renewed: bool, now: Timestamp) -> Self {
        Self {
            expires_at: session.expires_at,
            renewal_count: session.renewal_count,
            was_renewed,
            is_near_expiration: session.is_near_expiration(now),
        }
    }
}

/// The response to a deletion.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Deleted {
    success: bool,
    message: String,
    data: DeletedData,
}

/// The same fields, for clients that unwrap `data`.
#[derive(ToSchema, Serialize)]
struct DeletedData {
    success: bool,
    message: String,
}

impl Deleted {
    pub(in crate::api) fn new(id: SessionId) -> Self {
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

/// A list of sessions.
// `handlers::listing` writes it in slices.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only the derive macro reads this type")]
pub(in crate::api) struct SessionList<'a> {
    /// Newest first.
    sessions: Vec<SessionInfo<'a>>,
    /// The `cursor` of the next page; absent on the last page. With `q`, a page may be short or empty
    /// and not the last one.
    #[schema(nullable = false)]
    next_cursor: Option<String>,
    /// The number of sessions that match the filter; absent with `q`.
    #[schema(nullable = false)]
    total: Option<u64>,
    stats: StatsInfo,
}
