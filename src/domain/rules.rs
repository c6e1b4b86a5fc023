//! The running server's settings on which the rules of sessions depend.

use super::time::{Millis, TimeScale};
use super::timeout::TimeoutPolicy;

/// The settings that decide what a command may do.
///
/// They are the running process's: a change at a restart applies to what is already stored,
/// but for the expiry of an existing session, which is stored with it.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Bounds and defaults of the timeouts.
    pub policy: TimeoutPolicy,
    /// How fast the rules' minutes pass.
    pub scale: TimeScale,
    /// How long a session is kept after its expiry.
    pub kept: Millis,
    /// The most open turns in all.
    pub max_pending_turns: u64,
    /// The most active sessions of a user; 0 for any number.
    pub max_sessions_per_user: u32,
}
