//! The agents: who they are, how they are reached, and how their turns are run.
//!
//! Each backend is a file of its own behind the [`backend::Backend`] trait: `eliza`, `openai`,
//! `webhook`, `elizaos`, `external`. The [`registry`] knows them by name. Nothing here knows
//! of the store or of HTTP: the turn runner reaches what is stored through its
//! [`turns::TurnStore`].

pub mod about;
pub mod backend;
pub mod backends;
pub mod character;
mod client;
pub mod probe;
pub mod registry;
pub mod settings;
pub mod turns;
pub mod variables;
