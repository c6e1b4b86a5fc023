//! Turns that end without a reply.

use crate::agents::backend::BackendError;
use crate::agents::registry::Agent;
use crate::domain::failure::FailureReason;
use crate::domain::id::SessionId;
use crate::domain::message::TurnFailure;

/// Why a turn ends without a reply.
#[derive(Debug, Clone)]
pub(super) struct FailedTurn {
    /// What the client receives.
    pub(super) failure: TurnFailure,
    /// The cause, for operators only. It contains neither secrets nor parts of the conversation.
    pub(super) cause: String,
}

impl FailedTurn {
    /// The agent failed.
    pub(super) fn new(reason: FailureReason, cause: String) -> Self {
        let failure = TurnFailure::agent_error(reason);
        Self { failure, cause }
    }

    /// The agent did not answer in time.
    pub(super) fn timeout(cause: String) -> Self {
        let failure = TurnFailure::agent_timeout();
        Self { failure, cause }
    }

    /// The session's agent no longer exists.
    pub(super) fn without_agent() -> Self {
        let failure = TurnFailure::agent_not_found();
        let cause = failure.message.clone();
        Self { failure, cause }
    }

    /// The backend has failed after it had sent this many chunks.
    pub(super) fn from_backend(error: BackendError, chunks: u32) -> Self {
        // An answer that was cut off is invalid, whatever the cause.
        let reason = match chunks {
            0 => error.reason,
            _ => FailureReason::InvalidReply,
        };
        let mut failed = Self::new(reason, error.cause);
        if let Some(message) = error.message.filter(|_| chunks == 0) {
            failed.failure.message = message;
        }
        failed
    }

    /// Logs the failure of an agent.
    pub(super) fn log(&self, agent: &Agent, session: SessionId) {
        let (character, backend) = (&agent.character, &agent.backend);
        tracing::warn!(
            %session,
            name = character.name,
            agent = %character.id,
            backend = backend.kind(),
            model = backend.model(),
            address = backend.address(),
            reason = self.failure.reason.map(FailureReason::as_str),
            cause = self.cause,
            "the agent failed"
        );
    }
}
