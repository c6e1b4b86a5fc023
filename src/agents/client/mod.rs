//! The HTTP client of the backends: requests, bodies, event streams, and redaction for the log.

pub(crate) mod address;
pub(crate) mod body;
mod connection_error;
mod error_response;
pub(crate) mod http_client;
mod matches;
pub(crate) mod redact;
mod repeat;
pub(crate) mod reported_error;
mod said;
pub(crate) mod sse;
mod status;
pub(crate) mod surrogates;
