//! The state of the service.

use serde::Serialize;
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::schemas::schema;
use crate::app::{self, Stats};
use crate::domain::time::Timestamp;

/// How the service is.
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
    /// Sessions with damaged records; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid_sessions: Option<u64>,
    /// For how many seconds the server has been running.
    uptime: f64,
}

/// The status and nothing else.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Health {
    #[schema(inline)]
    status: Status,
}

/// `degraded` while something stored is damaged, `unhealthy` while nothing new can be stored
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

/// The process answers.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Alive {
    #[schema(schema_with = ok)]
    status: &'static str,
}

/// How a service is that cannot store anything new, and the error that this is.
#[derive(Serialize)]
pub(in crate::api) struct WithError<T, E> {
    #[serde(flatten)]
    health: T,
    #[serde(flatten)]
    error: E,
}

impl SessionsHealth {
    pub(in crate::api) fn new(health: &app::Health, now: Timestamp) -> Self {
        let count = |count: fn(&Stats) -> u64| health.stats.as_ref().map_or(0, count);
        Self {
            status: Status::from(health.status),
            reasons: health
                .reasons
                .iter()
                .map(|reason| reason.as_str())
                .collect(),
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
            status: Status::from(health.status),
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

impl<T, E> WithError<T, E> {
    pub(in crate::api) fn new(health: T, error: E) -> Self {
        Self { health, error }
    }
}

/// The schema of [`SessionsHealth`] [`WithError`].
pub(in crate::api) struct UnhealthySessions;

impl PartialSchema for UnhealthySessions {
    fn schema() -> RefOr<Schema> {
        both("SessionsHealth", "ApiError").into()
    }
}

impl ToSchema for UnhealthySessions {}

/// The schema of [`Health`] [`WithError`].
pub(in crate::api) struct Unhealthy;

impl PartialSchema for Unhealthy {
    fn schema() -> RefOr<Schema> {
        both("Health", "ApiError").into()
    }
}

impl ToSchema for Unhealthy {}

fn both(one: &str, other: &str) -> Schema {
    let reference = |name| json!({ "$ref": format!("#/components/schemas/{name}") });
    schema(json!({ "allOf": [reference(one), reference(other)] }))
}

fn ok() -> Schema {
    schema(json!({ "type": "string", "enum": ["ok"] }))
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
