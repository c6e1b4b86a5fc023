//! The agents.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::{self, AgentAnswer, AgentListAnswer};
use crate::api::error::ApiError;
use crate::api::extract::AgentPath;
use crate::api::openapi::examples;
use crate::api::openapi::responses::AgentErrors;
use crate::api::state::ApiState;
use crate::app::error::AppError;
use crate::domain::error::Refusal;
use crate::domain::id::AgentId;

/// `GET /api/agents`
#[utoipa::path(
    get,
    path = "/api/agents",
    operation_id = "listAgents",
    tag = "agents",
    summary = "List the agents",
    description = "All of them.",
    responses(
        (status = 200, description = "The agents", body = AgentListAnswer, examples(("agent" = (value = json!(examples::agents()))))),
    ),
)]
pub(in crate::api) async fn list(State(state): State<ApiState>) -> Response {
    let registry = state.app.agents();
    let characters = registry.iter().map(|agent| &agent.character);
    dto::json(StatusCode::OK, &AgentListAnswer::new(characters))
}

/// `GET /api/agents/{id}`
#[utoipa::path(
    get,
    path = "/api/agents/{agentId}",
    operation_id = "getAgent",
    tag = "agents",
    summary = "Get an agent",
    description = "With what may be shown of its file: never its settings, secrets or knowledge.",
    params(AgentPath),
    responses(
        (status = 200, description = "The agent", body = AgentAnswer, examples(("agent" = (value = json!(examples::agent()))))),
        AgentErrors,
    ),
)]
pub(in crate::api) async fn show(
    State(state): State<ApiState>,
    AgentPath { agent: path }: AgentPath,
) -> Result<Response, ApiError> {
    let id = AgentId::parse(&path);
    let agent = id.and_then(|id| state.app.agents().get(id));
    let Some(agent) = agent else {
        return Err(match id {
            Some(id) => AppError::Refused(Refusal::AgentNotFound(id)).into(),
            None => ApiError::agent_not_found(&path),
        });
    };
    Ok(dto::json(
        StatusCode::OK,
        &AgentAnswer::from(&agent.character),
    ))
}
