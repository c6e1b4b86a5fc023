//! The stream of a session's events, as a client without Socket.IO sees it.
//!
//! The server runs in the test's own process, so that a test moves its clock and scripts its
//! agent; everything else goes over HTTP.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that cannot do its work fails the test"
)]

mod drowsy;
mod endings;
mod limits;
mod reader;
mod resume;
mod seam;
mod server;
mod turns;
mod warnings;
