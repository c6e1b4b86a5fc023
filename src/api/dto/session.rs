//! Sessions, and what calls did to them.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::raw_object;
use crate::app::Stats;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// A session.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SessionInfo<'a> {
    session_id: Uuid,
    /// The same: a session is its own channel.
    channel_id: Uuid,
    agent_id: Uuid,
    /// The user, as the client names them.
    user_id: Uuid,
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
    metadata: &'a RawValue,
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

impl<'a> SessionInfo<'a> {
    pub(in crate::api) fn new(session: &'a Session, now: Timestamp) -> Self {
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
            metadata: raw_object(&session.metadata),
        }
    }
}

/// The numbers of a session list.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct StatsInfo {
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

/// What sending a message did to its session.
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

/// What a deletion answers.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Deleted {
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
// It is written slice by slice, see the listing.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "the derive macro reads it, and nothing makes it")]
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
