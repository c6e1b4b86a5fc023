//! Agents as operators see them.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::{AgentStatesAnswer, ProbeAnswer};
use crate::api::error::ApiError;
use crate::api::extract::AgentPath;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{AgentErrors, ProbeErrors, RateErrors};
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::domain::id::AgentId;

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

/// Ask an agent a short question
///
/// For administrators: whether the agent replies, and if not, the cause. The question is sent at
/// once, without retries, even if all places of the agent are taken. The wait ends with the first
/// piece of the reply, after the agent's timeout, or after 30 s; then an agent that has reported
/// activity counts as replying. An agent whose replies are submitted is not asked. A probe is not a
/// turn: nothing is stored or counted, and the agent's last failure stays. Only one probe of an
/// agent runs at a time. If the client disconnects, it ends.
#[utoipa::path(
    post,
    path = "/api/admin/agents/{agentId}/probe",
    operation_id = "probeAgent",
    tag = "operations",
    params(AgentPath),
    responses(
        (
            status = 200, description = "Whether it replies", body = ProbeAnswer<'_>,
            examples(
                ("replies" = (value = json!(examples::probe()))),
                ("submits" = (value = json!(examples::probe_of_external()))),
                ("fails" = (value = json!(examples::failed_probe()))),
            ),
        ),
        AgentErrors,
        RateErrors,
        ProbeErrors,
    ),
)]
pub(in crate::api) async fn probe(
    State(state): State<ApiState>,
    AgentPath { agent: path }: AgentPath,
) -> Result<Response, ApiError> {
    let id = AgentId::parse(&path).ok_or_else(|| ApiError::agent_not_found(&path))?;
    let probed = state.app.probe_agent(id).await?;
    Ok(json(StatusCode::OK, &ProbeAnswer::from(&probed)))
}
