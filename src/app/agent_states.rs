//! How the agents are doing.

use super::application::App;
use crate::domain::id::AgentId;
use crate::metrics::AgentState;

/// An agent with what operators need to know about it.
#[derive(Debug, Clone)]
pub struct AgentOverview {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// The name of its backend.
    pub backend: &'static str,
    /// The model that it requests, if it names one.
    pub model: Option<String>,
    /// The address of the server behind it, without secrets.
    pub address: Option<String>,
    /// How its turns ended.
    pub state: AgentState,
}

impl App {
    /// Returns the current agents in their order.
    #[must_use]
    pub fn agent_overviews(&self) -> Vec<AgentOverview> {
        let states = &self.metrics.agents.states;
        let agents = self.agents.now();
        let overviews = agents.iter().map(|agent| AgentOverview {
            id: agent.character.id,
            name: agent.character.name.clone(),
            backend: agent.backend.kind(),
            model: agent.backend.model().map(str::to_owned),
            address: agent.backend.address(),
            state: states.get(agent.character.id),
        });
        overviews.collect()
    }
}
