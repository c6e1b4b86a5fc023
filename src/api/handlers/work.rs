//! The work of an agent that runs elsewhere.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream::unfold;

use crate::api::dto::queries::AgentTurnsQuery;
use crate::api::dto::schemas::AgentStreamEvent;
use crate::api::dto::{AgentTurns, TurnCancelled, turn_call};
use crate::api::error::ApiError;
use crate::api::extract::{AgentPath, Query};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{AgentErrors, QueryErrors, RateErrors, StorageErrors};
use crate::api::response::json;
use crate::api::sse;
use crate::api::state::ApiState;
use crate::app::InboxEvent;
use crate::domain::id::AgentId;
use crate::metrics::OpenGauge;

/// List the turns that wait for a submitted reply
///
/// For clients with the server's token and administrators. The oldest message comes first. A page
/// is short if its texts are long.
#[utoipa::path(
    get,
    path = "/api/agents/{agentId}/turns",
    operation_id = "listAgentTurns",
    tag = "agents",
    params(AgentPath, AgentTurnsQuery),
    responses(
        (
            status = 200, description = "A page of turns", body = AgentTurns<'_>,
            examples(("turns" = (value = json!(examples::agent_turns())))),
        ),
        QueryErrors,
        AgentErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    AgentPath { agent: path }: AgentPath,
    Query(query): Query<AgentTurnsQuery>,
) -> Result<Response, ApiError> {
    let (after, limit) = query.validate()?;
    let id = AgentId::parse(&path).ok_or_else(|| ApiError::agent_not_found(&path))?;
    let page = state.app.waiting_turns(id, after, limit).await?;
    let agent = state.app.agents().get(id);
    let agent = agent.ok_or_else(|| ApiError::agent_not_found(&path))?;
    Ok(json(
        StatusCode::OK,
        &AgentTurns::new(&page, &agent.character.name),
    ))
}

/// Stream the turns that wait for a submitted reply
///
/// For clients with the server's token and administrators. Every turn that waits comes first, the
/// oldest message first, then each new one, and `turnCancelled` when one no longer waits. A turn
/// may come more than once. `Last-Event-ID` is ignored: each stream begins with what waits. An
/// agent can have at most 16 open streams.
#[utoipa::path(
    get,
    path = "/api/agents/{agentId}/events",
    operation_id = "getAgentEvents",
    tag = "agents",
    params(AgentPath),
    responses(
        (
            status = 200, description = "The events",
            content_type = "text/event-stream", body = AgentStreamEvent,
        ),
        AgentErrors,
        RateErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn stream(
    State(state): State<ApiState>,
    AgentPath { agent: path }: AgentPath,
) -> Result<Response, ApiError> {
    let id = AgentId::parse(&path).ok_or_else(|| ApiError::agent_not_found(&path))?;
    let inbox = state.app.agent_inbox(id)?;
    let open = OpenGauge::new(&state.app.metrics().agent_inbox_streams);
    let app = Arc::clone(&state.app);
    let events = unfold(
        (inbox, app, open),
        move |(mut inbox, app, open)| async move {
            let next = inbox.next().await?;
            // A reload may have renamed the agent.
            let agent = app.agents().get(id)?;
            let event = event(&next, &agent.character.name);
            Some((Ok(event), (inbox, app, open)))
        },
    );
    Ok(sse::response(events))
}

fn event(event: &InboxEvent, agent_name: &str) -> Event {
    match event {
        InboxEvent::Turn(turn) => {
            sse::event("turn", &turn_call(turn, agent_name)).id(turn.turn_id.to_string())
        }
        InboxEvent::Closed(closed) => sse::event("turnCancelled", &TurnCancelled::from(*closed)),
    }
}
