//! The event stream of a session, for clients without Socket.IO.
//!
//! The server runs in the test's process, so that a test can move its clock and script its agent;
//! everything else goes over HTTP.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that cannot do its work fails the test"
)]

mod activity;
mod endings;
mod limits;
mod metadata;
mod partial;
mod reader;
mod replay;
mod resume;
#[path = "../support/scripted_backend.rs"]
mod scripted_backend;
mod server;
mod slow_client;
mod turns;
mod warnings;
