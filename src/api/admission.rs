//! Refuses requests of foreign web pages before any work, and adds CORS headers for allowed ones.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::error::ApiError;
use super::response::REPLAYED;
use crate::auth::Authenticator;
use crate::auth::origin::AllowedOrigins;
use crate::connections::Connection;
use crate::console;

/// How long a browser may cache the response to a preflight.
const MAX_AGE: Duration = Duration::from_mins(10);

#[derive(Debug)]
pub(super) struct Admission {
    authenticator: Arc<Authenticator>,
    cors: CorsLayer,
}

impl Admission {
    pub(super) fn new(authenticator: &Arc<Authenticator>) -> Self {
        Self {
            authenticator: Arc::clone(authenticator),
            cors: cors(&authenticator.origins.allowed),
        }
    }
}

/// Refuses requests of foreign pages, and requests with a foreign `Host`. Answers the preflights of
/// allowed pages and adds the CORS headers to their responses. Pages cannot reach the Unix socket.
pub(super) async fn admit(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>();
    if connection.is_some_and(|connection| connection.is_local()) {
        return next.run(request).await;
    }
    let origins = &admission.authenticator.origins;
    if is_module(&request) {
        return match origins.admit_host(request.uri(), request.headers()) {
            Ok(()) => next.run(request).await,
            Err(foreign) => ApiError::foreign_page(foreign).into_response(),
        };
    }
    let admitted = origins.admit(request.uri(), request.headers(), || is_page(&request));
    if let Err(foreign) = admitted {
        return ApiError::foreign_page(foreign).into_response();
    }
    let is_preflight = is_preflight(&request);
    // The CORS layer would answer every `OPTIONS`, also one that is not a preflight.
    let is_from_page = request.headers().contains_key(header::ORIGIN)
        && (is_preflight || request.method() != Method::OPTIONS);
    if !is_from_page {
        let mut response = next.run(request).await;
        if origins.allowed != AllowedOrigins::Any {
            let origin = HeaderValue::from_static("origin");
            response.headers_mut().append(header::VARY, origin);
        }
        return response;
    }
    let answered = admission.cors.layer(next).oneshot(request).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    if is_preflight {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

/// Returns the CORS headers for pages that were admitted.
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

fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns whether a request is for a file of the console, which links of other sites may lead to.
fn is_page(request: &Request) -> bool {
    request.method() == Method::GET && console::file(request.uri().path()).is_some()
}

/// Returns whether a request is for a file of the client library, which pages of any origin may load.
fn is_module(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && console::file(request.uri().path()).is_some_and(|file| file.is_module)
}
