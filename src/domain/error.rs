//! Why a call on a session is refused.

use super::id::{AgentId, SessionId};
use super::time::{Millis, Timestamp};
use super::timeout::InvalidTimeout;

/// A refusal: the call was understood, nothing was changed, and this is why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such session, or its time after expiry is over too.
    #[error("Session not found")]
    SessionNotFound(SessionId),
    /// The session has expired.
    #[error("Session has expired")]
    SessionExpired {
        /// Which session.
        session_id: SessionId,
        /// When it did.
        expires_at: Timestamp,
    },
    /// A renewal that has nothing left to give.
    #[error("Session cannot be renewed")]
    RenewalRefused(RenewalRefused),
    /// Timeouts that cannot be set.
    #[error(transparent)]
    InvalidTimeout(InvalidTimeout),
    /// The session's agent is not known (any more).
    #[error("Agent not found")]
    AgentNotFound(AgentId),
    /// The key was used before, with another body.
    #[error("The message's id was used with another body")]
    IdempotencyConflict {
        /// The key.
        key: String,
    },
    /// The session has as many open turns as a session may have.
    #[error("At most {limit} messages of a session can wait for a reply")]
    SessionBusy {
        /// How many that is.
        limit: usize,
    },
    /// The user has as many active sessions as a user may have.
    #[error("A user can have at most {limit} active sessions")]
    TooManySessions {
        /// How many that is.
        limit: u32,
        /// When the first of them expires.
        next_expiry: Timestamp,
        /// How long that is from now.
        left: Millis,
    },
    /// The server has as many open turns as it may have.
    #[error("The server has too much to do; try again")]
    ServerBusy,
}

/// A renewal refused because the session already stands at its longest duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRefused {
    /// Which session.
    pub session_id: SessionId,
    /// The longest duration, in minutes.
    pub max_duration_minutes: u32,
    /// When the session was created.
    pub created_at: Timestamp,
    /// The time since then.
    pub age: Millis,
}
