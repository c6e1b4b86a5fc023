//! The console's pages and their files.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::coded::{Coded, accepts_gzip, vary};
use crate::api::error::ApiError;
use crate::console::{self, CONTENT_SECURITY_POLICY, File};

static BODIES: LazyLock<HashMap<&'static str, Coded>> = LazyLock::new(|| {
    let bodies = console::files().map(|file| (&*file.path, Coded::new((&*file.bytes).into())));
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
    // Another coding is another representation.
    let tags = ["", "-gzip"].map(|coding| format!("\"{}{coding}\"", file.hash));
    let tag = &tags[usize::from(accepts_gzip(request))];
    let mut response = if is_known(&tags, request) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        vary(response.headers_mut());
        response
    } else {
        let content_type = HeaderValue::from_static(file.content_type);
        (
            [(header::CONTENT_TYPE, content_type)],
            body.respond(request),
        )
            .into_response()
    };
    let headers = response.headers_mut();
    // A tag of quoted hex digits is a valid header.
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
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

/// Whether the client has the file, in whatever coding. (Typed headers would do this as well, with
/// eight more crates, among them a second SHA-1.)
fn is_known(tags: &[String], request: &HeaderMap) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter();
    let mut known = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    known.any(|known| known == "*" || tags.iter().any(|tag| tag == known))
}
