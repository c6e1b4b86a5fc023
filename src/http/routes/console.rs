//! The console's page and its files.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::console::{self, CONTENT_SECURITY_POLICY, File};
use crate::http::error::ApiError;

/// `GET /`
#[utoipa::path(
    get,
    path = "/",
    operation_id = "getConsole",
    tag = "operations",
    summary = "The console",
    description = "A page for people.",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has")),
    responses(
        (status = 200, description = "The page", content_type = "text/html; charset=utf-8", body = String, headers(("ETag" = String, description = "Changes when the page does"))),
        (status = 304, description = "What the client has is the page", headers(("ETag" = String, description = "Changes when the page does"))),
    ),
)]
pub(in crate::http) async fn page(request: Request) -> Response {
    file(request).await
}

/// `GET /docs`
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "getDocs",
    tag = "operations",
    summary = "This description for people",
    description = "A page that works offline.",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has")),
    responses(
        (status = 200, description = "The page", content_type = "text/html; charset=utf-8", body = String, headers(("ETag" = String, description = "Changes when the page does"))),
        (status = 304, description = "What the client has is the page", headers(("ETag" = String, description = "Changes when the page does"))),
    ),
)]
pub(in crate::http) async fn docs(request: Request) -> Response {
    file(request).await
}

/// `GET /console/…`
pub(in crate::http) async fn file(request: Request) -> Response {
    match console::file(request.uri().path()) {
        Some(file) => respond(file, request.headers()),
        None => ApiError::not_found(request.method(), request.uri().path()).into_response(),
    }
}

fn respond(file: &'static File, asked: &HeaderMap) -> Response {
    let is_known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == file.etag || tag == "*");
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Response::new(Body::from(file.bytes))
    };
    let headers = response.headers_mut();
    if !is_known {
        let content_type = HeaderValue::from_static(file.content_type);
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    // A tag of quoted hex digits is a valid header.
    if let Ok(etag) = HeaderValue::from_str(&file.etag) {
        headers.insert(header::ETAG, etag);
    }
    for (name, value) in [
        // Asked for each time, and answered without a body where nothing has changed.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
