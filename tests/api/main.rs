//! Tests of the HTTP API, against a server in this process with a clock that the tests move and a
//! scripted agent that does what a message says.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

#[path = "../support/jwt.rs"]
mod jwt;

mod admin_log;
mod admin_settings;
mod agent_states;
mod agents;
mod auth;
mod bodies;
mod cancel;
mod content;
mod continuing;
mod create;
mod create_keys;
mod damage;
mod delete;
mod endings;
mod erase_user;
mod error_messages;
mod errors;
mod expiring_turns;
mod expiry;
mod finding;
mod hangups;
mod harness;
mod health;
mod history;
mod identity;
mod import;
mod json;
mod last_messages;
mod listing;
mod message_keys;
mod metadata;
mod metrics;
mod metrics_history;
mod metrics_snapshot;
mod not_found_page;
mod order;
mod patch;
mod paths;
mod probe;
mod quotas;
mod raw;
mod renewal;
mod reopened;
mod request_ids;
mod retries;
mod roles;
mod scheduled_backups;
mod search;
mod send;
mod stops;
mod storage;
mod stream;
mod stream_endpoint;
mod timeouts;
mod turns;
mod users;
mod web_pages;
