//! Agents with all backends, from outside: the server against stand-ins for the servers behind
//! agents, over real sockets, where a test controls every packet.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a helper that cannot do its work fails the test"
)]

mod about_reply;
mod activity;
mod attachments;
mod causes;
mod characters;
mod command;
mod context;
mod crash;
mod elizaos;
mod examples;
mod external;
mod failures;
#[path = "../api/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the tests of the API")]
mod harness;
mod history;
mod inbox;
mod json;
mod new;
mod new_remote;
mod new_terminal;
mod openai;
mod probe;
mod reasoning;
mod redaction;
mod reload;
mod remote;
mod retries;
mod secrets;
mod session_metadata;
mod settings;
mod stand_in;
mod start;
mod streams;
mod submit;
#[path = "../support/mod.rs"]
mod support;
mod times;
mod traces;
mod usage;
mod vision;
mod webhook;
mod webhook_calls;
mod webhook_log;
mod webhook_refusals;
mod webhook_streams;
