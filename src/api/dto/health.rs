//! The health of the server.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::schemas::schema;
use crate::app::{self, Stats};
use crate::domain::time::Timestamp;

/// The health of the server, with its sessions.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct SessionsHealth {
    #[schema(inline)]
    status: Status,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(schema_with = reasons, required = false)]
    reasons: Vec<&'static str>,
    active_sessions: u64,
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    /// Active sessions within their warning threshold.
    expiring_soon: u64,
    /// Sessions with damaged records; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_sessions: Option<u64>,
    /// The uptime of the server, in seconds.
    uptime: f64,
}

/// Only the status.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Health {
    #[schema(inline)]
    status: Status,
}

/// `degraded` while stored data is damaged, `unhealthy` while nothing can be stored
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

/// The process is running.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Alive {
    #[schema(schema_with = ok)]
    status: &'static str,
}

/// The health of an unhealthy server, together with the members of an error.
#[derive(Serialize)]
pub(in crate::api) struct WithError<T> {
    #[serde(flatten)]
    pub(in crate::api) health: T,
    #[serde(flatten)]
    pub(in crate::api) error: Value,
}

impl SessionsHealth {
    pub(in crate::api) fn new(health: &app::Health, now: Timestamp) -> Self {
        let count = |count: fn(&Stats) -> u64| health.stats.as_ref().map_or(0, count);
        let reasons = health.reasons.iter().map(|reason| reason.as_str());
        Self {
            status: Status::from(health.status),
            reasons: reasons.collect(),
            active_sessions: count(|stats| stats.active),
            timestamp: now,
            expiring_soon: count(|stats| stats.near_expiration),
            invalid_sessions: Some(health.invalid_sessions).filter(|count| *count > 0),
            uptime: health.uptime.as_secs_f64(),
        }
    }
}

impl From<&app::Health> for Health {
    fn from(health: &app::Health) -> Self {
        Self {
            status: health.status.into(),
        }
    }
}

impl From<app::Status> for Status {
    fn from(status: app::Status) -> Self {
        match status {
            app::Status::Healthy => Self::Healthy,
            app::Status::Degraded => Self::Degraded,
            app::Status::Unhealthy => Self::Unhealthy,
        }
    }
}

impl Alive {
    pub(in crate::api) const OK: Self = Self { status: "ok" };
}

fn ok() -> Schema {
    schema(json!({ "type": "string", "enum": ["ok"] }))
}

fn reasons() -> Schema {
    schema(json!({
        "type": "array",
        "items": {
            "type": "string",
            "enum": [
                "commit_failed", "no_space", "file_replaced", "undecodable_records",
                "damaged_pages",
            ],
        },
        "description": "Why the server is not healthy; absent if it is. Unhealthy: \
            `commit_failed` (the last commit failed; it is retried every second), `no_space` (the \
            disk has no free space for new data), `file_replaced` (the file at the database's path \
            is not the open one). Degraded: `undecodable_records` (records that cannot be decoded, \
            counted in `invalidSessions`), `damaged_pages` (the last verification of the file \
            found damage)",
    }))
}
