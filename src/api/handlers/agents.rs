//! Agents.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::{AgentAnswer, AgentListAnswer};
use crate::api::error::ApiError;
use crate::api::extract::AgentPath;
use crate::api::openapi::examples;
use crate::api::openapi::responses::AgentErrors;
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::domain::id::AgentId;

/// List the agents
///
/// All of them, without the details of their files.
#[utoipa::path(
    get,
    path = "/api/agents",
    operation_id = "listAgents",
    tag = "agents",
    responses((
        status = 200, description = "The agents", body = AgentListAnswer,
        examples(("agent" = (value = json!(examples::agents())))),
    )),
)]
pub(in crate::api) async fn list(State(state): State<ApiState>) -> Response {
    let registry = state.app.agents();
    let characters = registry.iter().map(|agent| &agent.character);
    json(StatusCode::OK, &AgentListAnswer::new(characters))
}

/// Get an agent
///
/// With the public parts of its file: never its settings, secrets or knowledge.
#[utoipa::path(
    get,
    path = "/api/agents/{agentId}",
    operation_id = "getAgent",
    tag = "agents",
    params(AgentPath),
    responses(
        (
            status = 200, description = "The agent", body = AgentAnswer,
            examples(("agent" = (value = json!(examples::agent())))),
        ),
        AgentErrors,
    ),
)]
pub(in crate::api) async fn show(
    State(state): State<ApiState>,
    AgentPath { agent: path }: AgentPath,
) -> Result<Response, ApiError> {
    let id = AgentId::parse(&path);
    match id.and_then(|id| state.app.agents().get(id)) {
        Some(agent) => Ok(json(StatusCode::OK, &AgentAnswer::from(&agent.character))),
        None => Err(ApiError::agent_not_found(
            &id.map_or(path, |id| id.to_string()),
        )),
    }
}
