//! Agents as operators see them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::AgentStatesAnswer;
use crate::api::openapi::examples;
use crate::api::response::json;
use crate::api::state::ApiState;

/// List the agents' states
///
/// For administrators: who replies for each agent, how many of its turns were closed since the
/// start, and the cause of the last failure.
#[utoipa::path(
    get,
    path = "/api/admin/agents",
    operation_id = "listAgentStates",
    tag = "operations",
    responses((
        status = 200, description = "The agents", body = AgentStatesAnswer<'_>,
        examples(("agents" = (value = json!(examples::agent_states())))),
    )),
)]
pub(in crate::api) async fn list(State(state): State<ApiState>) -> Response {
    let agents = state.app.agent_overviews();
    json(StatusCode::OK, &AgentStatesAnswer::new(&agents))
}
