//! The real server, started, stopped and killed in every way that may happen to it.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]
#![allow(
    clippy::print_stderr,
    reason = "the test harness shows it when the test has failed"
)]

mod api;
mod audit;
mod client;
mod commands;
mod durability;
mod full_disk;
mod history;
mod order;
mod rng;
mod scripted;
#[path = "../support/scripted_backend.rs"]
mod scripted_backend;
mod sse;
mod start;
mod start_data;
mod start_settings;
mod stop;
#[path = "../support/mod.rs"]
mod support;
mod turns;
