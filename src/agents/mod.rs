//! The agents: their characters, their backends, and the runner of their turns.
//!
//! Each backend is a module of its own behind the trait [`backend::Backend`]; the [`registry`]
//! knows them by name. Nothing here knows the store or HTTP servers: the runner reaches stored
//! turns through its trait [`turns::TurnStore`].

pub mod backend;
mod backend_context;
pub(crate) mod backends;
pub mod character;
pub(crate) mod client;
pub mod discovery;
pub mod model_list;
pub mod new_agent;
pub mod probe;
pub mod registry;
pub mod reply_info;
mod secrets;
pub mod settings;
pub mod turn_call;
pub mod turns;
pub mod variables;
pub mod warnings;
