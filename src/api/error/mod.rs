//! What a client reads when a call fails. What the log reads is written where the failure is met.
//!
//! A handler's error travels as an extension of its response to the outermost layer, which alone
//! knows the time that the body has to name.

mod from_app;
mod kinds;
mod requests;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(super) use self::from_app::Call;
use self::kinds::Kind;
use super::dto;
use super::extract::REPLAYED;
use crate::domain::time::Timestamp;

/// The longest part of a client's own text that comes back in an error.
const MAX_ECHO: usize = 100;

/// An error as a client reads it.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    kind: Kind,
    message: String,
    /// A sentence for people.
    text: String,
    /// The same for programs.
    details: Map<String, Value>,
    retry_after: Option<u64>,
    /// Whether an earlier call with the same key did what this one was to do.
    is_replayed: bool,
}

impl ApiError {
    fn new(kind: Kind) -> Self {
        Self::with_message(kind, kind.message.to_owned())
    }

    fn with_message(kind: Kind, message: String) -> Self {
        Self {
            kind,
            text: message.clone(),
            message,
            details: Map::new(),
            retry_after: None,
            is_replayed: false,
        }
    }

    fn text(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }

    fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind.status
    }

    /// Whether the client is told when to try again.
    pub(super) fn has_retry_after(&self) -> bool {
        self.retry_after.is_some()
    }

    /// The body's members.
    pub(super) fn document(&self, now: Timestamp) -> Value {
        let Kind { code, name, .. } = self.kind;
        json!({
            "success": false,
            "error": {
                "code": code,
                "type": name,
                "message": self.message,
                "details": self.text,
                "timestamp": now,
            },
            "code": code,
            "details": self.details,
        })
    }

    /// Completes the response that stands for the error with its body, which names the time.
    pub(super) fn render(self, response: Response, now: Timestamp) -> Response {
        let document = self.document(now);
        let (mut parts, _) = response.into_parts();
        let (rendered, body) = self.respond(&document).into_parts();
        // That of the empty body.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(rendered.headers);
        Response::from_parts(parts, body)
    }

    /// The response with a body of its own.
    pub(super) fn respond<T: Serialize>(self, body: &T) -> Response {
        let mut response = dto::json(self.kind.status, body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.is_replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if self.kind.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.kind.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// A client's own text, cut where it is long.
fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}
