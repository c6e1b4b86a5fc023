//! The handlers, one file per resource. Their doc comments are part of the `OpenAPI` description.

pub(super) mod admin;
pub(super) mod agent_states;
pub(super) mod agents;
pub(super) mod by_user;
pub(super) mod cancel;
pub(super) mod console;
pub(super) mod events;
pub(super) mod fallback;
pub(super) mod health;
pub(super) mod identity;
pub(super) mod import;
mod listing;
pub(super) mod messages;
pub(super) mod metrics;
pub(super) mod metrics_history;
pub(super) mod openapi;
pub(super) mod search;
pub(super) mod sessions;
pub(super) mod settings;
pub(super) mod submit;
pub(super) mod update_session;
pub(super) mod work;
