//! What answers for the agents: each kind of backend, and what several of them share.

pub(in crate::agents) mod answer;
pub(in crate::agents) mod attachments;
pub(in crate::agents) mod eliza;
pub(in crate::agents) mod elizaos;
pub(in crate::agents) mod external;
pub(in crate::agents) mod history;
pub(in crate::agents) mod openai;
pub(in crate::agents) mod prompt;
pub mod scripted;
pub(in crate::agents) mod webhook;
