//! The agents that are being probed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::AgentId;

/// The agents that are being probed. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningProbes(Arc<Mutex<HashSet<AgentId>>>);

/// A probe that is running. Dropping it lets the agent's next probe start.
pub(super) struct RunningProbe {
    probes: RunningProbes,
    agent: AgentId,
}

impl RunningProbes {
    /// Begins a probe; `None` if the agent is being probed already.
    pub(super) fn begin(&self, agent: AgentId) -> Option<RunningProbe> {
        self.lock().insert(agent).then(|| RunningProbe {
            probes: self.clone(),
            agent,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<AgentId>> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningProbe {
    fn drop(&mut self) {
        self.probes.lock().remove(&self.agent);
    }
}
