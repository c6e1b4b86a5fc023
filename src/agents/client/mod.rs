//! Talking to the servers behind the agents: HTTP, event streams, and what of their words may be logged.

pub(in crate::agents) mod body;
pub(in crate::agents) mod http_client;
pub(in crate::agents) mod redact;
pub(in crate::agents) mod sse;
pub(in crate::agents) mod surrogates;
