//! Violations of the rules of sessions.

use super::id::{AgentId, MessageId, SessionId, TurnId};
use super::message::Message;
use super::time::{Millis, Timestamp};
use super::timeout::InvalidTimeout;
use super::waiting::ClosedReason;

/// A violated rule. The call was valid, and nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleViolation {
    /// The session does not exist, or its retention is over.
    #[error("Session not found")]
    SessionNotFound(SessionId),
    /// The session has expired.
    #[error("Session has expired")]
    SessionExpired {
        /// The session.
        session_id: SessionId,
        /// When it expired.
        expires_at: Timestamp,
    },
    /// The session has reached its longest duration.
    #[error("Session cannot be renewed")]
    RenewalRefused(RenewalRefused),
    /// The timeouts cannot be set.
    #[error(transparent)]
    InvalidTimeout(InvalidTimeout),
    /// The merged metadata is invalid, with the reason.
    #[error("{0}")]
    InvalidMetadata(String),
    /// The session of an import exists, or is still being removed.
    #[error("Session exists already")]
    SessionExists(SessionId),
    /// The message is not in the session.
    #[error("Message not found")]
    MessageNotFound(MessageId),
    /// The session's agent does not exist (any more).
    #[error("Agent not found")]
    AgentNotFound(AgentId),
    /// The idempotency key was used before, with another body.
    #[error("Idempotency key reused with another body")]
    IdempotencyConflict {
        /// The key.
        key: String,
    },
    /// The session has the most open turns that are allowed.
    #[error("At most {limit} messages of a session can wait for a reply")]
    SessionBusy {
        /// The limit.
        limit: usize,
    },
    /// The user has the most active sessions that are allowed.
    #[error("A user can have at most {limit} active sessions")]
    TooManySessions {
        /// The limit.
        limit: u32,
        /// When the first of them expires.
        next_expiry: Timestamp,
        /// The time from now until then.
        left: Millis,
    },
    /// No selected turn waits for a submission.
    #[error("The turn does not wait for a reply")]
    TurnClosed {
        /// The turn, if one was named.
        turn_id: Option<TurnId>,
        /// The cause.
        reason: ClosedReason,
    },
    /// A client cancelled the turn of the message that a submission answers.
    #[error("The reply was cancelled")]
    TurnCancelled(Box<Message>),
    /// The agent has the most open streams of its work that are allowed.
    #[error("At most {limit} streams of an agent's work can be open")]
    TooManyStreams {
        /// The limit.
        limit: usize,
    },
    /// The agent is being probed already.
    #[error("The agent is being probed already; try again")]
    ProbeRunning,
    /// The server has the most open turns that are allowed.
    #[error("The server is overloaded; try again")]
    ServerBusy,
}

/// Details of a renewal that was refused because the session has reached its longest duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRefused {
    /// The session.
    pub session_id: SessionId,
    /// The longest duration, in minutes.
    pub max_duration_minutes: u32,
    /// When the session was created.
    pub created_at: Timestamp,
    /// The time since then.
    pub age: Millis,
}
