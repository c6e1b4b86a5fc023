//! What the real server lets out, and lets in: its log, its refusals, and crowds.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

#[cfg(target_os = "linux")]
mod attacks;
mod crowd;
mod env_file;
mod log;
mod log_queues;
#[cfg(target_os = "linux")]
mod raw;
mod refusal;
mod secret_files;
mod start_messages;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod unread;

/// A client for a server that is a process of its own.
fn client() -> reqwest::Client {
    // It can speak TLS and must be given a provider of cryptography, though no test needs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
