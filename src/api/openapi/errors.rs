//! The errors that calls answer with, each shown as the server really writes it.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::examples::all;
use super::headers;
use super::sample::NOW;
use crate::api::error::ApiError;

/// A response by its name, with what it is in words and the errors that it shows.
pub(super) struct ErrorResponse {
    pub(super) name: &'static str,
    pub(super) status: StatusCode,
    pub(super) description: &'static str,
    pub(super) examples: Vec<(&'static str, ApiError)>,
}

/// What goes wrong with a session that is read or changed.
const SESSION: &[&str] = &["SessionNotFound", "SessionExpired"];
/// What goes wrong with a body.
const BODY: &[&str] = &["BadRequest", "PayloadTooLarge", "UnsupportedMediaType"];
/// What goes wrong with the database.
const DATABASE: &[&str] = &["InternalError", "Unavailable"];

/// The error responses of a call, beside those of the credentials.
pub(super) fn of(operation: &str) -> Vec<&'static str> {
    let groups: &[&[&str]] = match operation {
        "createSession" => &[
            BODY,
            &["AgentNotFound", "IdempotencyConflict", "RateLimited"],
            DATABASE,
        ],
        "listSessions" => &[&["BadRequest"], DATABASE],
        "getSession" | "sessionHeartbeat" => &[SESSION, DATABASE],
        "renewSession" => &[SESSION, &["RenewalFailed"], DATABASE],
        "updateSessionTimeout" => &[BODY, SESSION, DATABASE],
        "deleteSession" | "exportSessions" => &[&["SessionNotFound"], DATABASE],
        "sendSessionMessage" => &[
            BODY,
            &["SessionOrAgentNotFound", "SessionExpiredWhileWaiting"],
            &["IdempotencyConflict", "RateLimited"],
            &["AgentFailed", "AgentTimedOut"],
            &["InternalError", "UnavailableWhileWaiting"],
        ],
        "streamSessionMessage" => &[
            BODY,
            &["SessionOrAgentNotFound", "SessionExpired"],
            &["IdempotencyConflict", "RateLimited"],
            DATABASE,
        ],
        "getSessionMessages" | "getSessionEvents" => &[&["BadRequest"], SESSION, DATABASE],
        "getChannelMessages" => &[&["BadRequest", "SessionNotFound"], DATABASE],
        "getAgent" => &[&["AgentNotFound"]],
        "submitMessage" => &[BODY, SESSION, &["IdempotencyConflict"], DATABASE],
        "backupDatabase" | "getStorage" => &[DATABASE],
        _ => &[],
    };
    groups.concat()
}

/// The status of a response, as a key of the document.
pub(super) fn status(name: &str) -> String {
    let all = all();
    let found = all.iter().find(|response| response.name == name);
    found.map_or_else(String::new, |response| response.status.as_str().to_owned())
}

/// Every error response, by its name.
pub(super) fn responses() -> Value {
    let responses: Map<_, _> = all()
        .into_iter()
        .map(|response| (response.name.to_owned(), response.document()))
        .collect();
    responses.into()
}

impl ErrorResponse {
    fn document(self) -> Value {
        let mut examples = self.examples.iter();
        let has_retry_after = examples.any(|(_, error)| error.has_retry_after());
        let examples: Map<_, _> = self
            .examples
            .into_iter()
            .map(|(name, error)| (name.to_owned(), json!({ "value": error.document(NOW) })))
            .collect();
        let mut response = json!({
            "description": self.description,
            "headers": {},
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/ApiError" },
                "examples": examples,
            } },
        });
        if has_retry_after {
            headers::add(&mut response, "Retry-After");
        }
        response
    }
}
