//! What every call passes on its way in and out.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use super::error::ApiError;
use super::router::ApiState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// The outermost layer: the request's id, the credentials, the error form, the headers that every
/// response has, and a line in the log.
pub(super) async fn outermost(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let (id, id_header) = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", request_id = %id);
    let response = async {
        if state.guard.admits(&path, request.headers()) {
            next.run(request).await
        } else {
            ApiError::unauthorized().into_response()
        }
    };
    let mut response = response.instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.render(state.app.now());
    } else if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        response = ApiError::method_not_allowed(&method, &path).render(state.app.now());
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id_header);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let status = response.status();
    let elapsed = started.elapsed();
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(%method, %path, status = status.as_u16(), ?elapsed, "answered");
        } else {
            tracing::debug!(%method, %path, status = status.as_u16(), ?elapsed, "answered");
        }
    });
    response
}

/// The client's request id where it is sane, else a new one.
fn request_id(headers: &HeaderMap) -> (String, HeaderValue) {
    if let Some(value) = headers.get(REQUEST_ID)
        && let Ok(text) = value.to_str()
        && is_sane(text)
    {
        return (text.to_owned(), value.clone());
    }
    let id = Uuid::new_v4().to_string();
    // A UUID's text is a valid header.
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"));
    (id, header)
}

fn is_sane(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_allowed)
}
