//! What every call passes on its way in and out.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;
use uuid::Uuid;

use super::body;
use super::error::ApiError;
use super::router::{Answering, ApiState, Route, Routes, answered};
use crate::app::App;
use crate::guard::access::Access;
use crate::guard::connections::Connection;
use crate::guard::identity::{Principal, Credentials, Unauthorized};
use crate::guard::origin::{is_preflight, preflight_headers};
use crate::guard::{AUDIT, Guard, ClientContext};
use crate::metrics::UNANSWERED;
use crate::telemetry::shorten;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// The longest request id that is taken over from a client. The log has it whole.
const MAX_REQUEST_ID: usize = 128;

/// What stands around the router. It is called directly, not as a layer of it, which would cost
/// every request a boxed future and a copy of the route.
#[derive(Debug)]
pub(super) struct Outermost {
    app: Arc<App>,
    guard: Arc<Guard>,
    routes: Routes,
    sockets: Sockets,
}

/// Who answers below another path, in a form, and to credentials, of their own.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The path.
    pub path: &'static str,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// Who answers.
    pub router: Router,
}

/// The whole API as a service. Each request brings its `Arc<Connection>` as an extension.
pub fn service(
    app: &Arc<App>,
    guard: Arc<Guard>,
    sockets: Sockets,
) -> impl Service<
    Request,
    Response = Response,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let outermost = Arc::new(Outermost::new(app, guard, sockets));
    tower::service_fn(move |mut request: Request| {
        let outermost = Arc::clone(&outermost);
        async move {
            let Some(connection) = request.extensions_mut().remove::<Arc<Connection>>() else {
                return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
            };
            Ok(outermost.answer(request, &connection).await)
        }
    })
}

impl Outermost {
    pub(super) fn new(app: &Arc<App>, guard: Arc<Guard>, sockets: Sockets) -> Self {
        let state = ApiState {
            app: Arc::clone(app),
        };
        Self {
            app: Arc::clone(app),
            guard,
            routes: Routes::new(state),
            sockets,
        }
    }

    /// Answers a request: its id, who calls and from where, the error form, the headers that
    /// every response has, and its lines in the log.
    pub(super) async fn answer(
        &self,
        mut request: Request,
        connection: &Arc<Connection>,
    ) -> Response {
        let started = Instant::now();
        let id = request_id(request.headers());
        trim_slash(&mut request);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let route = self.route(&method, uri.path());
        let asked = Asked {
            address: self
                .guard
                .proxies
                .client(connection.address(), request.headers()),
            caller: self.caller(&route, request.headers()),
            route,
        };
        let unanswered = Unanswered {
            app: &self.app,
            method: &method,
            route: asked.route.path,
            started,
        };
        let span = tracing::info_span!("request", request_id = id.to_str().unwrap_or_default());
        let is_page = asked.route.is_page() && method == Method::GET;
        let admitted = self.guard.origins.admit(&uri, request.headers(), is_page);
        let (mut response, cross_origin) = match admitted {
            Err(foreign) => (ApiError::foreign(foreign).into_response(), None),
            Ok(cross_origin) => {
                let answering = span.in_scope(|| self.respond(request, &asked, connection));
                (answering.instrument(span.clone()).await, Some(cross_origin))
            }
        };
        let now = || self.app.now();
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            response = error.render(now());
        } else if response.status() == StatusCode::METHOD_NOT_ALLOWED
            && !self.sockets.are_at(uri.path())
        {
            let allow = response.headers_mut().remove(header::ALLOW);
            response = ApiError::method_not_allowed(&method, uri.path()).render(now());
            response
                .headers_mut()
                .extend(allow.map(|allow| (header::ALLOW, allow)));
        }
        let headers = response.headers_mut();
        if let Some(cross_origin) = cross_origin {
            cross_origin.write_to(headers);
        }
        headers.insert(REQUEST_ID, id);
        secure(headers);
        unanswered.answered();
        let _entered = span.enter();
        let (status, elapsed) = (response.status(), started.elapsed());
        let (method, path) = (shorten(method.as_str()), shorten(uri.path()));
        audit(&method, &path, status, &asked);
        let requests = &self.app.metrics().requests;
        requests.observe(&method, asked.route.path, status.as_u16(), elapsed);
        let (route, status_code) = (asked.route.path, status.as_u16());
        let elapsed_ms = millis(elapsed);
        if status.is_server_error() {
            tracing::warn!(%method, route, path = &*path, status = status_code, elapsed_ms, "answered");
        } else {
            tracing::debug!(%method, route, path = &*path, status = status_code, elapsed_ms, "answered");
        }
        response
    }

    /// Whoever answers below the sockets' path asks for credentials of their own.
    fn route<'a>(&'a self, method: &Method, path: &'a str) -> Route<'a> {
        if self.sockets.are_at(path) {
            return Route::of_others(self.sockets.path);
        }
        self.routes.find(method, path)
    }

    fn caller(&self, route: &Route<'_>, headers: &HeaderMap) -> Result<Principal, Unauthorized> {
        match route.access {
            Access::Public => Ok(Principal::Anonymous),
            _ if !self.guard.asks() => Ok(Principal::Anonymous),
            _ => self.guard.identify(&Credentials::of_headers(headers)),
        }
    }

    /// What becomes of a request that no foreign page makes. No future of its own: it would hold
    /// the request once more, and be moved with it.
    fn respond(
        &self,
        mut request: Request,
        asked: &Asked<'_>,
        connection: &Arc<Connection>,
    ) -> Answering {
        if is_preflight(request.method(), request.headers()) {
            let mut response = StatusCode::NO_CONTENT.into_response();
            response.headers_mut().extend(preflight_headers());
            return answered(response);
        }
        let Ok(caller) = asked.caller else {
            return answered(ApiError::unauthorized());
        };
        let access = asked.route.access;
        if access.is_asked_first() && !self.guard.permits(caller, access) {
            return answered(ApiError::not_permitted());
        }
        let visitor = ClientContext {
            caller,
            address: asked.address,
        };
        if !self.sockets.are_at(request.uri().path()) {
            let routes = &self.routes;
            return routes.answer(&asked.route, request, visitor, connection);
        }
        let extensions = request.extensions_mut();
        extensions.insert(visitor);
        extensions.insert(Arc::clone(connection));
        Box::pin(ask_sockets(self.sockets.clone(), request))
    }
}

/// Has the sockets' router answer, once the whole body is there.
async fn ask_sockets(sockets: Sockets, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let connection = parts.extensions.get::<Arc<Connection>>();
    let received = match body::read(body, connection.map(|it| &**it), sockets.max_body).await {
        Ok(received) => received,
        Err(error) => return error.into_response(),
    };
    let body = Body::from(received.bytes().clone());
    let answer = sockets.router.oneshot(Request::from_parts(parts, body));
    answer.await.into_response()
}

/// A request that has no answer yet. Dropped, its client has gone away.
struct Unanswered<'a> {
    app: &'a App,
    method: &'a Method,
    route: &'static str,
    started: Instant,
}

impl Unanswered<'_> {
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        let Self { method, route, .. } = self;
        let elapsed = self.started.elapsed();
        let requests = &self.app.metrics().requests;
        requests.observe(method.as_str(), route, UNANSWERED, elapsed);
        let elapsed_ms = millis(elapsed);
        let method = shorten(method.as_str());
        tracing::debug!(%method, route, status = UNANSWERED, elapsed_ms, "the client went away");
    }
}

fn millis(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}

/// What a request asks for, and who asks.
struct Asked<'a> {
    route: Route<'a>,
    address: IpAddr,
    caller: Result<Principal, Unauthorized>,
}

/// Writes down each use of what is for admins, and each refusal.
fn audit(method: &str, path: &str, status: StatusCode, asked: &Asked<'_>) {
    let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let is_admins = match asked.caller {
        // Where nobody is asked who they are, there is nobody to write down.
        Ok(Principal::Anonymous) | Err(_) => false,
        Ok(Principal::Admin) => true,
        Ok(_) => asked.route.access.is_for_admins(),
    };
    if !is_refusal && !is_admins {
        return;
    }
    let Asked { route, address, .. } = asked;
    let (route, status) = (route.path, status.as_u16());
    match &asked.caller {
        Ok(who) => {
            tracing::info!(target: AUDIT, %who, %address, %method, route, path, status, "audit");
        }
        Err(reason) => {
            tracing::info!(target: AUDIT, who = "unknown", %reason, %address, %method, route, path, status, "audit");
        }
    }
}

/// What every response of an API says to browsers. A page says it for itself.
fn secure(headers: &mut HeaderMap) {
    const FOR_NO_PAGE: HeaderValue =
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(FOR_NO_PAGE);
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(CROSS_ORIGIN_RESOURCE_POLICY)
        .or_insert(HeaderValue::from_static("same-origin"));
}

impl Sockets {
    fn are_at(&self, path: &str) -> bool {
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
    // Whom the target names, if it does, stays named.
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = target.parse().ok();
    // A part of a valid target is one too.
    if let Ok(uri) = Uri::from_parts(parts) {
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
