//! Building responses.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::app::error::AppError;

/// `true` when an earlier call with the same idempotency key did what this one asks for.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The size that most bodies do not exceed, in bytes.
const BODY_CAPACITY: usize = 1024;

pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut body = Vec::with_capacity(BODY_CAPACITY);
    // The types of this API have string keys and an infallible `Serialize`.
    let _ = serde_json::to_writer(&mut body, value);
    let content_type = [(header::CONTENT_TYPE, "application/json")];
    (status, content_type, Body::from(body)).into_response()
}

pub(super) fn mark_replayed(mut response: Response, is_replayed: bool) -> Response {
    if is_replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, replayed);
    }
    response
}

/// Returns a body of parts. An error of the first part is returned; a later one aborts the body.
pub(super) async fn streamed<T: Into<Bytes> + Send + 'static>(
    parts: impl Stream<Item = Result<T, AppError>> + Send + 'static,
) -> Result<Body, AppError> {
    let mut parts = Box::pin(parts);
    let first = parts.next().await;
    let first = first.transpose()?.map(Ok);
    let rest = parts.map_err(|error| io::Error::other(format!("{error:?}")));
    let parts = stream::iter(first).chain(rest);
    Ok(Body::from_stream(parts))
}
