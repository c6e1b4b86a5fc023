//! The body of an error.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::kinds::Kind;
use crate::api::response;
use crate::domain::time::Timestamp;

/// The longest part of a client's own text that an error repeats, in characters.
const MAX_ECHO: usize = 100;

/// An error as a client reads it.
///
/// It is an extension of its response until a layer adds the body, which contains the time.
#[derive(Debug, Clone)]
pub(in crate::api) struct ApiError {
    kind: Kind,
    message: String,
    /// `error.details`: a sentence for people.
    text: String,
    /// `details`: values for programs.
    details: Map<String, Value>,
    /// In seconds.
    retry_after: Option<u64>,
    /// Whether the failure is that of an earlier call with the same idempotency key.
    pub(super) is_replayed: bool,
}

impl ApiError {
    pub(super) fn new(kind: Kind) -> Self {
        Self::with_message(kind, kind.message.to_owned())
    }

    pub(super) fn with_message(kind: Kind, message: String) -> Self {
        Self {
            kind,
            text: message.clone(),
            message,
            details: Map::new(),
            retry_after: None,
            is_replayed: false,
        }
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    pub(super) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    pub(in crate::api) fn status(&self) -> StatusCode {
        self.kind.status
    }

    pub(in crate::api) fn has_retry_after(&self) -> bool {
        self.retry_after.is_some()
    }

    pub(in crate::api) fn document(&self, now: Timestamp) -> Value {
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

    /// Adds the body to the response that carries this error.
    pub(in crate::api) fn render(self, response: Response, now: Timestamp) -> Response {
        let document = self.document(now);
        let (mut parts, _) = response.into_parts();
        let (rendered, body) = self.respond(&document).into_parts();
        // It is that of the empty body.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(rendered.headers);
        Response::from_parts(parts, body)
    }

    /// Returns a response with the status and headers of this error, and another body.
    pub(in crate::api) fn respond<T: Serialize>(&self, body: &T) -> Response {
        self.complete(response::json(self.kind.status, body))
    }

    /// Adds the status and headers of this error to a response.
    pub(in crate::api) fn complete(&self, response: Response) -> Response {
        let mut response = response::mark_replayed(response, self.is_replayed);
        *response.status_mut() = self.kind.status;
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
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

pub(super) fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}
