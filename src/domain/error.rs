//! Why a call on a session is refused.

use super::id::{AgentId, SessionId};
use super::time::{Millis, Timestamp};
use super::timeout::InvalidTimeout;

/// A refusal: the call was understood, nothing was changed, and this is why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such session, or its time after expiry is over too.
    SessionNotFound(SessionId),
    /// The session has expired.
    SessionExpired {
        /// Which session.
        session_id: SessionId,
        /// When it did.
        expires_at: Timestamp,
    },
    /// A renewal that has nothing left to give.
    RenewalRefused(RenewalRefused),
    /// Timeouts that cannot be set.
    InvalidTimeout(InvalidTimeout),
    /// The session's agent is not known (any more).
    AgentNotFound(AgentId),
    /// The key was used before, with another body.
    IdempotencyConflict {
        /// The key.
        key: String,
    },
    /// The session has as many open turns as a session may have.
    SessionBusy {
        /// How many that is.
        limit: usize,
    },
    /// The user has as many active sessions as a user may have.
    TooManySessions {
        /// How many that is.
        limit: u32,
        /// When the first of them expires.
        next_expiry: Timestamp,
        /// How long that is from now.
        left: Millis,
    },
    /// The server has as many open turns as it may have.
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
