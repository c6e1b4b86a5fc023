//! The backends, and what several of them share.

pub(crate) mod activity;
pub(crate) mod answer;
pub(crate) mod attachments;
pub(crate) mod eliza;
pub(crate) mod elizaos;
pub(crate) mod external;
pub(crate) mod history;
pub(crate) mod media;
pub(crate) mod openai;
pub(crate) mod prompt;
pub(crate) mod webhook;
