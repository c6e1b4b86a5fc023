//! Agents as operators see them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::schemas;
use crate::app::AgentOverview;
use crate::domain::failure::FailureReason;
use crate::domain::time::Timestamp;
use crate::metrics::LastFailure;

/// The agents as operators see them.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct AgentStatesAnswer<'a> {
    agents: Vec<AgentState<'a>>,
}

/// An agent as operators see it.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AgentState<'a> {
    id: Uuid,
    name: &'a str,
    /// Who replies for it.
    #[schema(example = "openai")]
    backend: &'static str,
    /// The model that it requests; null if it names none.
    #[schema(value_type = Option<String>)]
    model: Option<&'a str>,
    /// The address of the server behind it: scheme, host, port and path. Null if there is no such
    /// server.
    #[schema(value_type = Option<String>)]
    address: Option<&'a str>,
    /// How many of its turns were closed since the start, the failed ones included.
    turns: u64,
    /// How many of them were closed with an error.
    failures: u64,
    /// The last of the failures; null if there was none.
    last_failure: Option<AgentFailure<'a>>,
}

/// Why an agent did not reply.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct AgentFailure<'a> {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The reason that clients received.
    #[schema(value_type = Option<schemas::FailureReason>)]
    reason: Option<&'static str>,
    /// The cause: the words of the server behind the agent, without secrets and without parts of
    /// the conversation.
    cause: &'a str,
}

impl<'a> AgentStatesAnswer<'a> {
    pub(in crate::api) fn new(agents: &'a [AgentOverview]) -> Self {
        Self {
            agents: agents.iter().map(AgentState::from).collect(),
        }
    }
}

impl<'a> From<&'a AgentOverview> for AgentState<'a> {
    fn from(agent: &'a AgentOverview) -> Self {
        let state = &agent.state;
        Self {
            id: agent.id.0,
            name: &agent.name,
            backend: agent.backend,
            model: agent.model.as_deref(),
            address: agent.address.as_deref(),
            turns: state.turns,
            failures: state.failures,
            last_failure: state.last_failure.as_ref().map(AgentFailure::from),
        }
    }
}

impl<'a> From<&'a LastFailure> for AgentFailure<'a> {
    fn from(failure: &'a LastFailure) -> Self {
        Self {
            at: failure.at,
            reason: failure.reason.map(FailureReason::as_str),
            cause: &failure.cause,
        }
    }
}
