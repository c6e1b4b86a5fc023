//! The agents: who they are, how they are reached, and how their turns are run.
//!
//! Each backend is a file of its own behind the [`backend::Backend`] trait: `eliza`, `openai`,
//! `webhook`, `elizaos`, `external`. The [`registry`] knows them by name. Nothing here knows
//! of the store or of HTTP: the turn runner reaches what is stored through its
//! [`runner::Ledger`].

pub mod about;
mod answer;
mod attachments;
pub mod backend;
mod body;
pub mod character;
mod eliza;
mod elizaos;
mod external;
pub mod feed;
mod history;
mod openai;
pub mod probe;
mod prompt;
mod redact;
pub mod registry;
pub mod runner;
pub mod scripted;
pub mod settings;
mod sse;
mod surrogates;
mod upstream;
pub mod variables;
mod webhook;
