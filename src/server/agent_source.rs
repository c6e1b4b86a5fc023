//! The agents of a server: loaded at the start, and again at each SIGHUP.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;

use super::data_dir::create_agents_dir;
use crate::agents::registry::{Agent, BackendContext, Registry};
use crate::agents::variables::Variables;
use crate::agents::warnings::warnings;
use crate::app::App;
use crate::clock::Clock;
use crate::process::signals::Signals;
use crate::settings::Config;

/// Loads the agents, at the start and at each reload.
pub(super) struct AgentSource {
    directory: PathBuf,
    /// Whether the directory existed at the last load.
    existed: bool,
    clock: Clock,
    context: BackendContext,
    /// Agents without files.
    others: Vec<Arc<Agent>>,
}

impl AgentSource {
    pub(super) fn new(config: &Config, clock: Clock, others: Vec<Agent>) -> anyhow::Result<Self> {
        Ok(Self {
            directory: config.storage.agents_dir(),
            existed: false,
            clock,
            context: BackendContext::new(config.environment.clone())?,
            others: others.into_iter().map(Arc::new).collect(),
        })
    }

    /// Creates the directory if it is missing.
    pub(super) fn create_directory(&mut self) {
        match create_agents_dir(&self.directory) {
            Ok(()) => self.existed = true,
            Err(error) => tracing::warn!(%error, "{} cannot be created", self.directory.display()),
        }
    }

    pub(super) fn load(&mut self) -> anyhow::Result<Registry> {
        let mut agents = Registry::load(&self.directory, self.clock.now(), &self.context)?;
        let exists = self.directory.is_dir();
        // Its disk may be unmounted: that does not mean that all agents were removed.
        if self.existed && !exists {
            bail!(
                "the directory {} is missing; create it again, empty if there are no character \
                 files",
                self.directory.display()
            );
        }
        self.existed = exists;
        for agent in &self.others {
            agents.add(Arc::clone(agent));
        }
        Ok(agents)
    }
}

/// Reloads the character files at each signal. If one of them is invalid, nothing changes.
pub(super) async fn reload_agents(
    app: Arc<App>,
    mut source: AgentSource,
    mut hangups: Signals,
    variables: Variables,
) {
    while hangups.next().await {
        match source.load() {
            Ok(agents) => {
                app.replace_agents(agents);
                tracing::info!("reloaded the character files");
                log_agents(&app, &variables, true);
            }
            Err(error) => tracing::error!("the agents were not reloaded: {error:#}"),
        }
    }
}

/// Warns of settings of agents that have no effect. Before that, logs each agent with its backend if
/// `lists`.
pub(super) fn log_agents(app: &App, variables: &Variables, lists: bool) {
    let agents = app.agents();
    for agent in agents.iter().filter(|_| lists) {
        tracing::info!(
            name = agent.character.name,
            id = %agent.character.id,
            backend = agent.backend.kind(),
            model = agent.backend.model(),
            address = agent.backend.address(),
            "agent"
        );
    }
    for warning in warnings(&agents, variables) {
        tracing::warn!("{warning}");
    }
}
