//! The HTTP client of the backends: requests, bodies, event streams, and redaction for the log.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod http_client;
pub(crate) mod redact;
pub(crate) mod sse;
pub(crate) mod surrogates;
