//! The whole API on one page: what can be called, and to whom it is open.

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use super::call::{self, Call};
use super::error::ApiError;
use super::openapi;
use super::handlers::{admin, agents, console, events, health, messages, metrics, sessions, submit};
use crate::app::App;
use crate::guard::ClientContext;
use crate::guard::access::Access;
use crate::guard::connections::Connection;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
}

/// An answer that is being made.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Something that can be called.
#[derive(Clone)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with the names of its variable parts in braces.
    pub path: &'static str,
    /// To whom it is open.
    pub access: Access,
    handler: Arc<dyn Fn(Request, Call) -> Answering + Send + Sync>,
}

/// Everything that can be called.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    use Access::{Admin, Agent, Authenticated, Public, SessionList};

    let sessions = "/api/messaging/sessions";
    let session = "/api/messaging/sessions/{sessionId}";
    let messages = "/api/messaging/sessions/{sessionId}/messages";
    vec![
        get(sessions, SessionList, sessions::list),
        post(sessions, Authenticated, sessions::create),
        get("/api/messaging/sessions/health", Authenticated, health::sessions),
        get(session, Authenticated, sessions::show),
        delete(session, Authenticated, sessions::delete),
        get(messages, Authenticated, messages::list),
        post(messages, Authenticated, messages::send),
        post(
            "/api/messaging/sessions/{sessionId}/messages/stream",
            Authenticated,
            messages::stream,
        ),
        post(
            "/api/messaging/sessions/{sessionId}/renew",
            Authenticated,
            sessions::renew,
        ),
        patch(
            "/api/messaging/sessions/{sessionId}/timeout",
            Authenticated,
            sessions::patch_timeout,
        ),
        post(
            "/api/messaging/sessions/{sessionId}/heartbeat",
            Authenticated,
            sessions::heartbeat,
        ),
        get(
            "/api/messaging/sessions/{sessionId}/events",
            Authenticated,
            events::follow,
        ),
        get(
            "/api/messaging/channels/{channelId}/messages",
            Admin,
            messages::transcript,
        ),
        post("/api/messaging/submit", Agent, submit::submit),
        get("/api/agents", Authenticated, agents::list),
        get("/api/agents/{agentId}", Authenticated, agents::show),
        get("/metrics", Admin, metrics::show),
        get("/", Public, console::page),
        get("/docs", Public, console::docs),
        get("/console/{file}", Public, console::file),
        get("/openapi.json", Public, openapi::show),
        get("/api/admin/backup", Admin, admin::backup),
        get("/api/admin/export", Admin, admin::export),
        get("/api/admin/storage", Admin, admin::storage),
        post("/api/admin/storage/verify", Admin, admin::verify),
        get("/healthz", Public, health::alive),
        get("/health", Public, health::overall),
    ]
}

/// The endpoints as they are found by a request: once, for its rule and for its answer.
#[derive(Debug)]
pub(super) struct Routes {
    state: ApiState,
    places: matchit::Router<Place>,
}

/// All that can be called at a path.
#[derive(Debug)]
struct Place {
    path: &'static str,
    /// What of the path stands before and after its variable part.
    around_name: Option<(&'static str, &'static str)>,
    endpoints: Vec<Endpoint>,
}

/// What a request asks for.
pub(super) struct Route<'a> {
    /// The path with the names of its variable parts.
    pub(super) path: &'static str,
    /// To whom it is open.
    pub(super) access: Access,
    found: Found<'a>,
}

enum Found<'a> {
    /// An endpoint, and the variable part of the path.
    Endpoint(&'a Endpoint, Option<&'a str>),
    /// A place that has others.
    OtherMethods(&'a Place),
    Nothing,
}

impl Routes {
    pub(super) fn new(state: ApiState) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for endpoint in endpoints() {
            match places.iter_mut().find(|place| place.path == endpoint.path) {
                Some(place) => place.endpoints.push(endpoint),
                None => places.push(Place::new(endpoint)),
            }
        }
        Self {
            state,
            places: index(places),
        }
    }

    /// What a request asks for. What there is not is for those alone who may ask.
    pub(super) fn find<'a>(&'a self, method: &Method, path: &'a str) -> Route<'a> {
        let Ok(place) = self.places.at(path) else {
            return Route {
                path: "unknown",
                access: Access::Authenticated,
                found: Found::Nothing,
            };
        };
        let asked = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let place = place.value;
        let name = place.name_in(path);
        let endpoint = place.endpoints.iter().find(|it| it.method == asked);
        Route {
            path: place.path,
            access: endpoint.map_or(Access::Authenticated, |endpoint| endpoint.access),
            found: endpoint.map_or(Found::OtherMethods(place), |endpoint| {
                Found::Endpoint(endpoint, name)
            }),
        }
    }

    /// Has the endpoint answer that was found.
    pub(super) fn answer(
        &self,
        route: &Route<'_>,
        request: Request,
        visitor: ClientContext,
        connection: &Arc<Connection>,
    ) -> Answering {
        let (endpoint, name) = match route.found {
            Found::Endpoint(endpoint, name) => (endpoint, name),
            Found::OtherMethods(place) => {
                let allow = place.allow();
                return answered((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, allow)]));
            }
            Found::Nothing => {
                let (method, path) = (request.method(), request.uri().path());
                return answered(ApiError::not_found(method, path));
            }
        };
        let is_head = request.method() == Method::HEAD;
        let has_body = !request.body().is_end_stream();
        let call = Call {
            state: self.state.clone(),
            visitor,
            name: name.map(call::decode).unwrap_or_default(),
            connection: has_body.then(|| Arc::clone(connection)),
        };
        let answering = (endpoint.handler)(request, call);
        if is_head {
            return Box::pin(answering.map(without_body));
        }
        answering
    }
}

/// What is answered already.
pub(super) fn answered(response: impl IntoResponse) -> Answering {
    Box::pin(ready(response.into_response()))
}

impl Route<'_> {
    /// Whether it is a page, or a file of one, that a link of another site may lead to.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.path, "/" | "/docs" | "/console/{file}")
    }

    /// What others answer, who ask for credentials of their own.
    pub(super) fn of_others(path: &'static str) -> Self {
        Self {
            path,
            access: Access::Public,
            found: Found::Nothing,
        }
    }
}

impl Place {
    fn new(endpoint: Endpoint) -> Self {
        let path = endpoint.path;
        let around_name = path.split_once('{').and_then(|(before, rest)| {
            let (_, after) = rest.split_once('}')?;
            Some((before, after))
        });
        Self {
            path,
            around_name,
            endpoints: vec![endpoint],
        }
    }

    /// The variable part of a path that has been found to be this one's.
    fn name_in<'a>(&self, path: &'a str) -> Option<&'a str> {
        let (before, after) = self.around_name?;
        path.strip_prefix(before)?.strip_suffix(after)
    }

    /// The methods that there are.
    fn allow(&self) -> String {
        let methods = self.endpoints.iter().map(|it| match it.method {
            Method::GET => "GET,HEAD",
            ref other => other.as_str(),
        });
        methods.collect::<Vec<_>>().join(",")
    }
}

/// The answer to a HEAD: that to the GET, but for its body.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        let headers = &mut parts.headers;
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}

#[allow(clippy::expect_used)]
fn index(places: Vec<Place>) -> matchit::Router<Place> {
    let mut index = matchit::Router::new();
    for place in places {
        index
            .insert(place.path, place)
            .expect("the paths above are valid, and each is here once");
    }
    index
}

fn get<H, T>(path: &'static str, access: Access, handler: H) -> Endpoint
where
    H: Handler<T, Call, Future = Answering> + Sync,
{
    Endpoint::new(Method::GET, path, access, handler)
}

fn post<H, T>(path: &'static str, access: Access, handler: H) -> Endpoint
where
    H: Handler<T, Call, Future = Answering> + Sync,
{
    Endpoint::new(Method::POST, path, access, handler)
}

fn patch<H, T>(path: &'static str, access: Access, handler: H) -> Endpoint
where
    H: Handler<T, Call, Future = Answering> + Sync,
{
    Endpoint::new(Method::PATCH, path, access, handler)
}

fn delete<H, T>(path: &'static str, access: Access, handler: H) -> Endpoint
where
    H: Handler<T, Call, Future = Answering> + Sync,
{
    Endpoint::new(Method::DELETE, path, access, handler)
}

impl Endpoint {
    fn new<H, T>(method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, Call, Future = Answering> + Sync,
    {
        Self {
            method,
            path,
            access,
            handler: Arc::new(move |request, call| handler.clone().call(request, call)),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
