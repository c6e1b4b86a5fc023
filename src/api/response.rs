//! Building responses.

use std::io;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::app::error::AppError;

/// `true` when an earlier call with the same idempotency key did what this one asks for.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The size that most bodies do not exceed, in bytes.
const BODY_CAPACITY: usize = 1024;

/// The number of headers that most responses do not exceed, those of the layers included.
const HEADER_CAPACITY: usize = 10;

/// Returns a response of JSON.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    json_with_capacity(BODY_CAPACITY, status, value)
}

/// Returns a response of JSON whose body has about `capacity` bytes.
pub(super) fn json_with_capacity<T: Serialize + ?Sized>(
    capacity: usize,
    status: StatusCode,
    value: &T,
) -> Response {
    let mut body = Vec::with_capacity(capacity);
    // The types of this API have string keys and an infallible `Serialize`.
    let _ = serde_json::to_writer(&mut body, value);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(HEADER_CAPACITY);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    response
}

/// Adds the header of a replayed call if `is_replayed`.
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
