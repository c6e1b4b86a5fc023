//! Probing an agent.

use std::time::Duration;

use super::application::App;
use super::error::{AppError, Unavailable};
use crate::agents::probe::{ProbeResult, probe};
use crate::domain::error::RuleViolation;
use crate::domain::failure::FailureReason;
use crate::domain::id::AgentId;

/// An agent that was probed.
#[derive(Debug, Clone)]
pub struct ProbedAgent {
    /// The model that it requests, if it names one.
    pub model: Option<String>,
    /// The address of the server behind it, without secrets.
    pub address: Option<String>,
    /// Whether it replies.
    pub outcome: ProbeOutcome,
}

/// Whether a probed agent replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It does. The first piece of text came after this time.
    Replied(Duration),
    /// The reply would be submitted later.
    RepliesLater,
    /// It does not.
    Failed {
        /// The reason that clients would receive.
        reason: FailureReason,
        /// The cause, for operators only. It contains no secrets.
        cause: String,
    },
}

impl App {
    /// Asks an agent a short question, at once: neither its queue nor its history is involved.
    /// Nothing is stored or counted. Dropping the call cancels the request.
    ///
    /// # Errors
    /// The agent is unknown or is being probed already, or the server is stopping.
    pub async fn probe_agent(&self, id: AgentId) -> Result<ProbedAgent, AppError> {
        let agent = self.agents.get(id);
        let agent = agent.ok_or(RuleViolation::AgentNotFound(id))?;
        let _running = self.probes.begin(id).ok_or(RuleViolation::ProbeRunning)?;
        let ids = std::array::from_fn(|_| self.new_id().as_u128());
        let probing = probe(&agent, self.now(), ids, &self.tasks);
        let found = self.stopping.run_until_cancelled(probing).await;
        let found = found.ok_or(AppError::Unavailable(Unavailable::ShuttingDown))?;
        Ok(ProbedAgent {
            model: agent.backend.model().map(str::to_owned),
            address: agent.backend.address(),
            outcome: match found {
                Ok(ProbeResult::Answer(after)) => ProbeOutcome::Replied(after),
                Ok(ProbeResult::Later) => ProbeOutcome::RepliesLater,
                Err(error) => ProbeOutcome::Failed {
                    reason: error.reason,
                    cause: error.cause,
                },
            },
        })
    }
}
