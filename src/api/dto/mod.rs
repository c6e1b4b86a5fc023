//! What goes over the wire when a call succeeds.

mod message;
mod metadata;
mod sent;
mod service;
mod session;
mod storage;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json;
pub(super) use message::{AgentResponse, MessageList, Submitted, UserMessage};
pub(super) use sent::{Sent, SentAnswer, session_status, user_message};
pub(super) use service::{AgentListAnswer, agent, health, overall};
pub(super) use session::{Deleted, SessionInfo, SessionStatus, StatsInfo};
pub(super) use storage::{StorageAnswer, VerificationAnswer};

/// Most responses have no more headers.
const USUAL_HEADERS: usize = 10;

/// A JSON response.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    json_of_about(json::USUAL_BYTES, status, value)
}

/// A JSON response of about so many bytes.
fn json_of_about<T: Serialize + ?Sized>(room: usize, status: StatusCode, value: &T) -> Response {
    // The types here have string keys and no failing `Serialize`.
    let body = json::to_vec(value, room).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    let headers = response.headers_mut();
    // Room for those that every response gets, so that the map does not grow on the way.
    headers.reserve(USUAL_HEADERS);
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// JSON that is stored as text, or an empty object.
#[derive(Clone)]
enum Raw<'a> {
    Text(&'a RawValue),
    Empty,
}

impl<'a> Raw<'a> {
    /// The text. What is stored was written as JSON, under a checksum; what is none is left out.
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self::Text)
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => json::raw(text, serializer),
            Self::Empty => Map::<String, Value>::new().serialize(serializer),
        }
    }
}
