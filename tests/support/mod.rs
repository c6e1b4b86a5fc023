//! Helpers that several integration tests share. Each test binary uses a part of them.

#![allow(
    dead_code,
    reason = "each test binary compiles all of it and uses a part"
)]
#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]
#![allow(
    clippy::print_stderr,
    reason = "the test harness shows it when the test has failed"
)]

pub(crate) mod node;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod terminal;
