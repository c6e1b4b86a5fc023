//! What goes over the wire when a call succeeds.

mod message;
mod metadata;
mod sent;
mod service;
mod session;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

pub(super) use message::{AgentResponse, MessageList, Submitted, UserMessage};
pub(super) use sent::{Sent, Shapes, session_status, user_message};
pub(super) use service::{AgentListAnswer, agent, health, overall};
pub(super) use session::{Deleted, SessionInfo, SessionStatus, StatsInfo};

/// Most responses are no larger.
const USUAL_BYTES: usize = 1024;

/// Most responses have no more headers.
const USUAL_HEADERS: usize = 10;

/// A JSON response.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    // The types here have string keys and no failing `Serialize`.
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    let _ = serde_json::to_writer(&mut bytes, value);
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    // Room for those that every response gets, so that the map does not grow on the way.
    headers.reserve(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// JSON that is stored as text.
#[derive(Serialize, Clone)]
#[serde(untagged)]
enum Raw<'a> {
    Text(&'a RawValue),
    Empty(Map<String, Value>),
}

impl<'a> From<&'a str> for Raw<'a> {
    fn from(text: &'a str) -> Self {
        // What is stored was written as JSON, under a checksum.
        serde_json::from_str(text).map_or_else(|_| Self::Empty(Map::new()), Self::Text)
    }
}
