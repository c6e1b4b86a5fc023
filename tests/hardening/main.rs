//! The real server against bad settings, attackers, idle connections and blocked logs.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

#[cfg(target_os = "linux")]
mod attacks;
mod connection_limits;
mod env_file;
mod log;
mod log_queues;
mod public_address;
#[cfg(target_os = "linux")]
mod raw;
mod secret_files;
mod start_messages;
#[path = "../support/mod.rs"]
mod support;
#[cfg(target_os = "linux")]
mod unread_bodies;

/// Returns a client for a server in another process.
fn client() -> reqwest::Client {
    // Required by the TLS support, which no test uses.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
