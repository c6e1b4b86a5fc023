//! What every call passes on its way in and out.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::error::ApiError;
use super::router::{ApiState, router};
use crate::app::App;
use crate::auth::Guard;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken over from a client.
const MAX_REQUEST_ID: usize = 128;

/// What stands around the router. It is called directly, not as a layer of it, which would cost
/// every request a boxed future and a copy of the route.
#[derive(Debug)]
pub(super) struct Outermost {
    state: ApiState,
    guard: Arc<Guard>,
    router: Router,
    sockets: Sockets,
}

/// Who answers below another path, in a form, and to credentials, of their own.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The path.
    pub path: &'static str,
    /// Who answers.
    pub router: Router,
}

impl Outermost {
    pub(super) fn new(app: &Arc<App>, guard: Arc<Guard>, sockets: Sockets) -> Self {
        let state = ApiState {
            app: Arc::clone(app),
        };
        let router = router(state.clone());
        Self {
            state,
            guard,
            router,
            sockets,
        }
    }

    /// Answers a request: its id, the credentials, the error form, the headers that every
    /// response has, and a line in the log.
    pub(super) async fn answer(&self, mut request: Request) -> Response {
        let started = Instant::now();
        let id = request_id(request.headers());
        trim_slash(&mut request);
        let method = request.method().clone();
        let uri = request.uri().clone();
        let is_for_sockets = self.sockets.is_for(uri.path());
        let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default());
        let response = async {
            if is_for_sockets {
                let Ok(response) = self.sockets.router.clone().oneshot(request).await;
                response
            } else if self.guard.admits(uri.path(), request.headers()) {
                let Ok(response) = self.router.clone().oneshot(request).await;
                response
            } else {
                ApiError::unauthorized().into_response()
            }
        };
        let mut response = response.instrument(span.clone()).await;
        let now = || self.state.app.now();
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            response = error.render(now());
        } else if response.status() == StatusCode::METHOD_NOT_ALLOWED && !is_for_sockets {
            let allow = response.headers_mut().remove(header::ALLOW);
            response = ApiError::method_not_allowed(&method, uri.path()).render(now());
            response
                .headers_mut()
                .extend(allow.map(|allow| (header::ALLOW, allow)));
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        let _entered = span.enter();
        let (path, status, elapsed) = (uri.path(), response.status(), started.elapsed());
        let route = self.state.app.metrics().requests.observe(
            method.as_str(),
            path,
            status.as_u16(),
            elapsed,
        );
        if status.is_server_error() {
            tracing::warn!(%method, route, path, status = status.as_u16(), ?elapsed, "answered");
        } else {
            tracing::debug!(%method, route, path, status = status.as_u16(), ?elapsed, "answered");
        }
        response
    }
}

impl Sockets {
    fn is_for(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A trailing slash makes no difference.
fn trim_slash(request: &mut Request) {
    let path = request.uri().path();
    if path.len() == 1 || !path.ends_with('/') {
        return;
    }
    let trimmed = match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    };
    let target = match request.uri().query() {
        Some(query) => format!("{trimmed}?{query}"),
        None => trimmed.to_owned(),
    };
    // A part of a valid target is one too.
    if let Ok(uri) = target.parse() {
        *request.uri_mut() = uri;
    }
}

/// The client's request id where it is sane, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    if let Some(value) = headers.get(REQUEST_ID)
        && value.to_str().is_ok_and(is_sane)
    {
        return value.clone();
    }
    let mut text = Uuid::encode_buffer();
    let id = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    // A UUID's text is a valid header.
    HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-"))
}

fn is_sane(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(is_allowed)
}
