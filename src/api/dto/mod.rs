//! What goes over the wire when a call succeeds.

mod agent;
mod failure;
mod health;
mod message;
mod metadata;
pub(crate) mod queries;
pub(crate) mod requests;
pub(super) mod schemas;
mod sent;
mod session;
mod storage;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

pub(super) use agent::{AgentAnswer, AgentListAnswer};
pub(super) use failure::Error;
pub(super) use health::{Alive, Health, SessionsHealth, Unhealthy, UnhealthySessions, WithError};
pub(super) use message::{AgentResponse, MessageList, Submitted, UserMessage};
pub(super) use sent::{Sent, SentAnswer, session_status, user_message};
pub(super) use session::{Deleted, SessionInfo, SessionList, SessionStatus, StatsInfo};
pub(super) use storage::{StorageAnswer, VerificationAnswer};

/// Most answers are no larger.
const USUAL_BYTES: usize = 1024;

/// Most answers have no more headers, with those that the layers add.
const USUAL_HEADERS: usize = 10;

/// A JSON response.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    json_with_capacity(USUAL_BYTES, status, value)
}

/// A JSON response of about so many bytes.
fn json_with_capacity<T: Serialize + ?Sized>(
    capacity: usize,
    status: StatusCode,
    value: &T,
) -> Response {
    let mut body = Vec::with_capacity(capacity);
    // The types here have string keys and no failing `Serialize`, and a `Vec` takes all.
    let _ = serde_json::to_writer(&mut body, value);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// Returns stored JSON so that it is written as it is. It was checked when it was stored; text
/// that is not JSON all the same is left out.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// Returns stored JSON as [`raw`] does, or an empty object in its place.
fn raw_object(text: &str) -> &RawValue {
    raw(text).or_else(|| raw("{}")).unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_json_is_written_as_it_is() {
        let text = r#"{"b": [1.50, "\u0041"],  "a":null}"#;
        assert_eq!(serde_json::to_string(&raw_object(text)).unwrap(), text);
        assert_eq!(serde_json::to_string(&raw_object("")).unwrap(), "{}");
        assert!(raw("{").is_none());
    }
}
