//! The agents.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::app::error::AppError;
use crate::domain::error::Refusal;
use crate::domain::id::AgentId;
use crate::http::dto::{self, AgentSummary};
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::router::ApiState;

/// `GET /api/agents`
pub(in crate::http) async fn list(State(state): State<ApiState>) -> Response {
    let registry = state.app.agents();
    let agents: Vec<_> = registry.iter().map(AgentSummary::from).collect();
    dto::json(
        StatusCode::OK,
        &json!({ "success": true, "data": { "agents": agents } }),
    )
}

/// `GET /api/agents/{id}`
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    PathId(path): PathId,
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
        &json!({ "success": true, "data": dto::agent(&agent) }),
    ))
}
