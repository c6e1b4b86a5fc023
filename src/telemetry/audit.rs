//! The audit log.

/// The log target of audit lines: who did what, or was refused.
pub const AUDIT: &str = "sessiond::audit";
