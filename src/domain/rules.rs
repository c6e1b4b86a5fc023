//! The settings that the rules of sessions depend on.

use super::time::{Millis, TimeScale};
use super::timeout::TimeoutPolicy;

/// The limits and timeouts of the running server. After a restart, changed ones apply to stored
/// sessions too, except to their expiry, which is stored.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Bounds and defaults of session timeouts.
    pub policy: TimeoutPolicy,
    /// How fast the minutes of session timeouts pass.
    pub scale: TimeScale,
    /// How long a session is retained after its expiry.
    pub retention: Millis,
    /// The most open turns of all sessions together.
    pub max_pending_turns: u64,
    /// The most active sessions of a user; 0 means no limit.
    pub max_sessions_per_user: u32,
}
