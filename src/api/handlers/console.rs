//! The console's page and its files.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::console::{self, CONTENT_SECURITY_POLICY, File};

/// `GET /`, `GET /docs`, `GET /console/…`
pub(in crate::api) async fn file(request: Request) -> Response {
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
