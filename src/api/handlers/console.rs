//! The pages of the console, their files, and the client library.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::api::precompressed::{Precompressed, accepts_gzip, vary};
use crate::console::{self, CONTENT_SECURITY_POLICY, File};

/// Lets pages of any origin load a file, also those that are isolated from other origins.
const FOR_ANY_ORIGIN: [(HeaderName, &str); 2] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "cross-origin",
    ),
];

static BODIES: LazyLock<HashMap<&'static str, Precompressed>> = LazyLock::new(|| {
    let body = |file: &'static File| Precompressed::new((&*file.bytes).into());
    let bodies = console::files().map(|file| (&*file.path, body(file)));
    bodies.collect()
});

/// `GET /`, `GET /docs`, `GET /console/…`, `GET /client.js`, …
pub(in crate::api) async fn file(request: Request) -> Response {
    let path = request.uri().path();
    match (console::file(path), BODIES.get(path)) {
        (Some(file), Some(body)) => respond(file, body, request.headers()),
        _ => ApiError::not_found(request.method(), path).into_response(),
    }
}

/// Returns the page for an address without a page.
pub(in crate::api) fn not_found(request: &HeaderMap) -> Option<Response> {
    let page = console::file(console::NOT_FOUND)?;
    let response = BODIES.get(&*page.path)?.respond(request, page.content_type);
    let headers = [
        (header::CONTENT_LANGUAGE, "en"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Some((headers, response).into_response())
}

fn respond(file: &File, body: &Precompressed, request: &HeaderMap) -> Response {
    // Each coding is a representation with an entity tag of its own.
    let tags = ["", "-gzip"].map(|coding| format!("\"{}{coding}\"", file.hash));
    let tag = &tags[usize::from(accepts_gzip(request))];
    let response = if is_cached(&tags, request) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        vary(response.headers_mut());
        response
    } else {
        body.respond(request, file.content_type)
    };
    let headers = [
        (header::ETAG, tag.as_str()),
        // The client revalidates each time, and gets a 304 if nothing has changed.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let response = (headers, response).into_response();
    if file.is_module {
        return (FOR_ANY_ORIGIN, response).into_response();
    }
    response
}

/// Returns whether the client has the file, in any coding. (`headers` could parse this, with eight
/// more crates.)
fn is_cached(tags: &[String], request: &HeaderMap) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).iter();
    let mut cached = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    cached.any(|cached| cached == "*" || tags.iter().any(|tag| tag == cached))
}
