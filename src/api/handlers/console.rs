//! The console's pages and their files.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::coded::{Coded, accepts_gzip, vary};
use crate::api::error::ApiError;
use crate::console::{self, CONTENT_SECURITY_POLICY, File};

/// What the tag of a compressed file ends with: another coding is another representation.
const GZIP_TAG: &str = "-gzip\"";

static BODIES: LazyLock<HashMap<&'static str, Coded>> = LazyLock::new(|| {
    let files = console::files().iter();
    let bodies = files.map(|file| (file.path, Coded::new(file.bytes.into())));
    bodies.collect()
});

/// `GET /`, `GET /docs`, `GET /console/…`
pub(in crate::api) async fn file(request: Request) -> Response {
    let path = request.uri().path();
    match (console::file(path), BODIES.get(path)) {
        (Some(file), Some(body)) => respond(file, body, request.headers()),
        _ => ApiError::not_found(request.method(), path).into_response(),
    }
}

fn respond(file: &File, body: &Coded, request: &HeaderMap) -> Response {
    let mut response = if is_known(file, request) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        vary(response.headers_mut());
        response
    } else {
        let mut response = body.respond(request);
        let content_type = HeaderValue::from_static(file.content_type);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
        response
    };
    let headers = response.headers_mut();
    // A tag of quoted hex digits is a valid header.
    if let Ok(etag) = HeaderValue::from_str(&etag(file, request)) {
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

/// Whether the client has the file, in whatever coding.
fn is_known(file: &File, request: &HeaderMap) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = values
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    let plain = file.etag.trim_end_matches('"');
    tags.any(|tag| {
        let of_file = tag.strip_prefix(plain);
        tag == "*" || of_file.is_some_and(|end| end == "\"" || end == GZIP_TAG)
    })
}

fn etag(file: &File, request: &HeaderMap) -> String {
    if accepts_gzip(request) {
        return format!("{}{GZIP_TAG}", file.etag.trim_end_matches('"'));
    }
    file.etag.clone()
}
