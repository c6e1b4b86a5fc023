//! Which web pages may call: foreign ones are refused before any work, the others get the CORS
//! headers that let their browsers read the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::ApiError;
use super::extract::REPLAYED;
use crate::auth::Authenticator;
use crate::auth::origin::AllowedOrigins;
use crate::connections::Connection;
use crate::console;

/// How long a browser may remember the answer to a preflight.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The rules for web pages.
#[derive(Debug)]
pub(super) struct Admission {
    guard: Arc<Authenticator>,
    cors: CorsLayer,
}

impl Admission {
    pub(super) fn new(guard: &Arc<Authenticator>) -> Self {
        Self {
            guard: Arc::clone(guard),
            cors: cors(&guard.origins.allowed),
        }
    }

    /// Says of an answer to no page that one to a page may be another.
    fn for_all(&self, mut response: Response) -> Response {
        if self.guard.origins.allowed != AllowedOrigins::Any {
            let origin = HeaderValue::from_static("origin");
            response.headers_mut().append(header::VARY, origin);
        }
        response
    }
}

/// Refuses requests of foreign pages, and those that name the server by a foreign name; answers the
/// preflights of the others, and adds the CORS headers to their answers. No page reaches the Unix
/// socket.
pub(super) async fn admit(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>();
    if connection.is_some_and(|connection| connection.is_local()) {
        return next.run(request).await;
    }
    let origins = &admission.guard.origins;
    let admitted = origins.admit(request.uri(), request.headers(), || is_page(&request));
    if let Err(foreign) = admitted {
        return ApiError::foreign(foreign).into_response();
    }
    let is_preflight = is_preflight(&request);
    // The layer takes every `OPTIONS` for a preflight. What is none is a request like any other.
    let is_of_page = request.headers().contains_key(header::ORIGIN)
        && (is_preflight || request.method() != Method::OPTIONS);
    if !is_of_page {
        return admission.for_all(next.run(request).await);
    }
    let answered = admission.cors.layer(next).oneshot(request).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    if is_preflight {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// Returns the CORS headers for pages that were admitted: whatever origin arrives here is allowed.
fn cors(allowed: &AllowedOrigins) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("traceparent"),
        ])
        .expose_headers([
            header::LOCATION,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
            REPLAYED,
        ])
        .max_age(MAX_AGE);
    if *allowed == AllowedOrigins::Any {
        return layer.allow_origin(AllowOrigin::any()).vary([]);
    }
    layer
        .allow_origin(AllowOrigin::mirror_request())
        .vary([header::ORIGIN])
}

/// Whether a browser asks beforehand whether a page may make a request.
fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether it asks for a page, or a file of one, that a link of another site may lead to.
fn is_page(request: &Request) -> bool {
    request.method() == Method::GET && console::file(request.uri().path()).is_some()
}
