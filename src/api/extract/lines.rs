//! Reads bodies of JSON Lines.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};

use super::json::{coding, media_type};
use crate::api::access::BodyLimit;
use crate::api::body::{self, ReceivedBody};
use crate::api::error::ApiError;
use crate::connections::Connection;

/// The media type of JSON Lines.
const LINES: &str = "application/x-ndjson";

/// A request with a body of JSON Lines that is still to be received.
pub(in crate::api) struct LinesRequest(Request);

impl<S: Send + Sync> FromRequest<S> for LinesRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if media_type(request.headers()).is_some_and(|media_type| media_type != LINES) {
            return Err(ApiError::unsupported_media_type("JSON Lines", LINES));
        }
        match coding(request.headers()) {
            Some(coding) => Err(ApiError::unsupported_coding(&coding)),
            None => Ok(Self(request)),
        }
    }
}

impl LinesRequest {
    /// Receives the body.
    pub(in crate::api) async fn receive(self, limit: BodyLimit) -> Result<ReceivedBody, ApiError> {
        let (parts, body) = self.0.into_parts();
        let connection = parts.extensions.get::<Arc<Connection>>();
        body::read(connection, body, limit).await
    }
}
