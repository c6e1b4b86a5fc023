//! sessiond: a self-hosted, durable server of the `ElizaOS` Sessions API.
//!
//! The layers, from the ground up; each module imports only from those above it in this list, which a
//! test checks:
//!
//! - [`domain`]: the rules, as plain values. Time is an argument.
//! - [`clock`], [`events`], [`json`]: the time; what happened, for whoever listens; JSON as JavaScript
//!   writes it.
//! - [`metrics`]: what is counted, where it arises.
//! - [`telemetry`]: the log.
//! - [`archive`], [`message_json`], [`process`]: sessions as lines of JSON; the parts of a message that
//!   are JSON; signals, limits and files of the process.
//! - [`store`]: sessions and messages in one redb file, behind named queries and commands.
//! - [`agents`]: who answers, and the turn runner.
//! - [`auth`]: who may do what, by whichever way they come.
//! - [`app`], `connections`: the use cases, which every request passes whatever it came by: load, let the
//!   domain decide, have the store commit, tell the waiters; which connections may be open.
//! - [`client_events`], [`console`], [`janitor`], [`space`], [`verification`]: events as clients see them;
//!   the operator's page; what happens by the clock alone: expiry, the measuring of the file and its
//!   verification.
//! - [`api`]: the API over HTTP.
//! - [`realtime`]: the API over Socket.IO.
//! - [`transport`]: the listeners, TCP and the Unix socket; timeouts, the drain.
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
pub mod process;
pub mod realtime;
pub mod server;
pub mod settings;
pub mod space;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod verification;
