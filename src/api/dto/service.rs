//! The service itself, and its agents.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::app::{Character, Health, Stats, Status};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// The state of the service.
pub(in crate::api) fn health(health: &Health, now: Timestamp) -> Map<String, Value> {
    let count = |count: fn(&Stats) -> u64| health.stats.as_ref().map_or(0, count);
    let mut body = Map::new();
    body.insert("status".into(), status(health.status).into());
    if !health.reasons.is_empty() {
        let reasons = health.reasons.iter().map(|reason| reason.as_str());
        body.insert("reasons".into(), reasons.collect());
    }
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
pub(in crate::api) fn overall(health: &Health) -> Map<String, Value> {
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
pub(in crate::api) struct AgentSummary<'a> {
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
pub(in crate::api) struct AgentListAnswer<'a> {
    success: bool,
    data: AgentList<'a>,
}

/// The agents.
#[derive(ToSchema, Serialize)]
struct AgentList<'a> {
    agents: Vec<AgentSummary<'a>>,
}

impl<'a> AgentListAnswer<'a> {
    pub(in crate::api) fn new(characters: impl Iterator<Item = &'a Character>) -> Self {
        Self {
            success: true,
            data: AgentList {
                agents: characters.map(AgentSummary::from).collect(),
            },
        }
    }
}

/// An agent by itself: the summary, and what may be shown of its file.
pub(in crate::api) fn agent(character: &Character) -> Value {
    let mut data = json!(AgentSummary::from(character));
    if let (Some(data), Value::Object(profile)) = (data.as_object_mut(), json!(character.profile)) {
        data.extend(profile);
    }
    json!({ "success": true, "data": data })
}
