//! The agents: who they are, who answers for them, and how their turns are run.
//!
//! Nothing here knows of the store or of HTTP: the turn runner reaches what is stored through its
//! [`runner::Ledger`].

pub mod backend;
pub mod character;
mod eliza;
pub mod feed;
pub mod registry;
pub mod runner;
pub mod scripted;
