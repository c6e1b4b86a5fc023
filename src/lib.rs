//! sessiond: a self-hosted, durable server of the `ElizaOS` Sessions API.
//!
//! The layers, from the inside out; each knows only those before it:
//!
//! - [`domain`]: the rules, as plain values. Time is an argument.
//! - [`store`]: sessions and messages in one redb file, behind open, read and submit.
//! - [`json`]: reads JSON as JavaScript writes it; [`message_json`]: the parts of a message that are
//!   JSON.
//! - [`events`]: what happened, for whoever listens.
//! - [`metrics`]: the figures, counted where they arise.
//! - [`agents`]: who answers, and the turn runner.
//! - [`app`]: the use cases. A request passes here whatever it came by: load, let the domain
//!   decide, have the store commit, tell the waiters.
//! - [`archive`]: sessions as lines of JSON, to be taken elsewhere.
//! - [`guard`]: who may do what, by whichever way they come.
//! - `connections`: how many connections may be open, which one gives way, and how they are closed.
//! - [`janitor`]: what happens by the clock alone; [`space`]: the measuring of the file;
//!   [`verification`]: its verification.
//! - [`wire`]: events as clients see them, by whichever way they come.
//! - [`console`]: the operator's page, as files.
//! - [`server_lock`]: one process to a data folder; [`partial`]: files until they are complete.
//! - [`api`], [`realtime`]: the API over HTTP, and over Socket.IO.
//! - [`transport`]: the listeners, TCP and the Unix socket; timeouts, the drain.
//! - [`settings`], [`cli`], [`mod@run`], [`open_files`]: the process around them.

pub mod agents;
pub mod api;
pub mod app;
pub mod archive;
pub mod cli;
pub mod clock;
mod connections;
pub mod console;
pub mod domain;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
pub mod janitor;
pub mod json;
pub mod message_json;
pub mod metrics;
pub mod open_files;
pub mod partial;
pub mod realtime;
pub mod run;
pub mod server_lock;
pub mod settings;
pub mod shutdown;
pub mod space;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod verification;
pub mod wire;
