//! sessiond: a self-hosted, durable server of the `ElizaOS` Sessions API.
//!
//! The layers, from the ground up. A module imports only from layers above its own in this list,
//! which `tests/architecture.rs` checks:
//!
//! - [`domain`]: the rules, as pure values. Time is an argument.
//! - [`clock`], [`events`], [`json`]: time; the events of sessions and their subscribers; JSON as
//!   JavaScript writes it.
//! - [`metrics`]: counters, gauges and histograms.
//! - [`telemetry`]: the log.
//! - [`message_json`], [`process`], [`session_json`]: the JSON parts of a message; signals, limits
//!   and files of the process; changes of a session's metadata, digests of requests.
//! - [`archive`]: sessions as JSON Lines.
//! - [`store`]: sessions and messages in one redb file, behind named queries and commands.
//! - [`agents`]: characters, their backends, and the turn runner.
//! - [`auth`]: authentication, access rules, origins, rate limits.
//! - [`app`], `connections`: the use cases, shared by all transports: load, let the domain
//!   decide, commit, notify; the connection limits.
//! - [`client_events`], [`console`], [`janitor`], [`metrics_sampler`], [`scheduled_backups`], [`space`], [`verification`]:
//!   events as clients see them; the operator's page; work that only the clock starts: expiry, the
//!   history of the metrics, backups, free space, verification of the file.
//! - [`api`]: the HTTP API.
//! - [`realtime`]: the Socket.IO API.
//! - [`transport`]: the TCP and Unix socket listeners, timeouts, draining.
//! - [`settings`]: every setting, declared once.
//! - [`server`]: start, run and stop.
//! - [`cli`]: the command line.

pub mod agents;
pub mod api;
pub mod app;
pub mod archive;
pub mod auth;
pub mod cli;
pub mod client_events;
pub mod clock;
mod connections;
pub mod console;
pub mod domain;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod janitor;
pub mod json;
pub mod message_json;
pub mod metrics;
pub mod metrics_sampler;
pub mod process;
pub mod realtime;
pub mod scheduled_backups;
pub mod server;
pub mod session_json;
pub mod settings;
pub mod space;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod verification;
