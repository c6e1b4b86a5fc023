//! The real binary: started, stopped and killed in every way.

#![allow(clippy::expect_used, reason = "a helper that fails must fail the test")]
#![allow(
    clippy::print_stderr,
    reason = "the test harness prints it if the test has failed"
)]

mod api;
mod audit;
mod client;
mod commands;
mod durability;
mod erasing;
mod full_disk;
mod history;
mod order;
mod readme;
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
