//! What the real server lets out, and lets in: its log, its refusals, and crowds.

#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

#[cfg(target_os = "linux")]
mod attacks;
mod crowd;
mod log;
mod log_queues;
#[cfg(target_os = "linux")]
mod raw;
mod refusal;
#[path = "../support/mod.rs"]
mod support;
