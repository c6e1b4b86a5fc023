//! The layers that every request and response passes.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use tracing::Span;

use super::admission::{Admission, admit};
use super::authentication::authenticate;
use super::error::ApiError;
use super::missing_page::show_page;
use super::observe::observe;
use crate::app::App;
use crate::app::error::AppError;
use crate::auth::Authenticator;
use crate::domain::trace::TraceParent;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest request id that is accepted from a client, in bytes. It is logged in full.
const MAX_REQUEST_ID: usize = 128;

/// The headers of responses whose handler sets no others, as those of the console do.
const DEFAULT_HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Adds the layers. The first one is the outer one.
pub(super) fn layered(
    router: Router,
    app: &Arc<App>,
    authenticator: &Arc<Authenticator>,
) -> Router {
    let admission = Arc::new(Admission::new(authenticator));
    router.layer(
        ServiceBuilder::new()
            .map_request(remove_unsafe_id)
            .map_request(take_trace)
            .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(REQUEST_ID))
            .layer(
                TraceLayer::new_for_http()
                    .make_span_with(span)
                    .on_request(())
                    .on_response(())
                    .on_body_chunk(())
                    .on_eos(())
                    .on_failure(()),
            )
            .map_request({
                let authenticator = Arc::clone(authenticator);
                move |request| authenticate(&authenticator, request)
            })
            .layer(from_fn_with_state(Arc::clone(app), observe))
            .map_response(add_default_headers)
            .map_response({
                let app = Arc::clone(app);
                move |response| render_error(&app, response)
            })
            .layer(from_fn_with_state(admission, admit))
            .layer(from_fn(show_page))
            .layer(CatchPanicLayer::custom(handle_panic)),
    )
}

fn add_default_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in DEFAULT_HEADERS {
        let entry = headers.entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Writes the body of an error, which contains the time.
fn render_error(app: &App, mut response: Response) -> Response {
    match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error.render(response, app.now()),
        None => response,
    }
}

/// Responds after a panic. Its message is not logged, since it may quote the request.
fn handle_panic(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    ApiError::from(AppError::Internal).into_response()
}

/// Removes `Allow` from responses other than 405. axum adds it to all responses of a fallback, but
/// a 401 must not reveal whether a path exists.
pub(super) fn only_allow_methods_to_405(mut response: Response) -> Response {
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().remove(header::ALLOW);
    }
    response
}

/// Removes trailing slashes from the path. Leading ones stay: without them, each path would have
/// aliases that the rules of a proxy do not cover.
pub(super) fn trim_trailing_slashes(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() == 1 || !path.ends_with('/') {
        return request;
    }
    let trimmed = match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let target = match request.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = target.parse().ok();
    // Part of a valid target is valid.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

fn span(request: &Request) -> Span {
    let id = request.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let trace: Option<&TraceParent> = request.extensions().get();
    let trace_id = trace.map(TraceParent::trace_id);
    tracing::info_span!("request", request_id = id, trace_id)
}

/// Notes the trace of a request. An invalid one is ignored, as its specification says.
fn take_trace(mut request: Request) -> Request {
    let mut values = request.headers().get_all(TRACE_PARENT).iter();
    if let (Some(value), None) = (values.next(), values.next())
        && let Some(trace) = value.to_str().ok().and_then(TraceParent::parse)
    {
        request.extensions_mut().insert(trace);
    }
    request
}

/// Removes an id that is not safe to log, so that a new one is generated.
fn remove_unsafe_id(mut request: Request) -> Request {
    let id = request.headers().get(REQUEST_ID);
    let is_unsafe = id.is_some_and(|id| !id.to_str().is_ok_and(is_safe));
    if is_unsafe {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn is_safe(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_panics_is_an_internal_error() {
        let router = Router::new()
            .fallback(|| async { panic_with("a fault") })
            .layer(CatchPanicLayer::custom(handle_panic));
        let Ok(response) = router.oneshot(Request::new(Body::empty())).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.extensions().get::<ApiError>().is_some());
    }

    fn panic_with(message: &'static str) -> StatusCode {
        panic!("{message}")
    }

    #[test]
    fn a_request_id_is_accepted_if_it_is_safe_to_log() {
        for (id, is_accepted) in [
            ("a-Z_0.9", true),
            ("", false),
            ("a b", false),
            ("é", false),
            (&*"x".repeat(MAX_REQUEST_ID), true),
            (&*"x".repeat(MAX_REQUEST_ID + 1), false),
        ] {
            let mut request = Request::new(Body::empty());
            let value = HeaderValue::from_bytes(id.as_bytes()).unwrap();
            request.headers_mut().insert(REQUEST_ID, value);
            let request = remove_unsafe_id(request);
            assert_eq!(
                request.headers().contains_key(REQUEST_ID),
                is_accepted,
                "{id:?}"
            );
        }
    }
}
