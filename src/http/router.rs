//! The whole API on one page: what can be called, and to whom it is open.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{self, MethodRouter};

use super::error::ApiError;
use super::routes::{admin, agents, events, health, messages, sessions, submit};
use crate::app::App;
use crate::guard::access::Access;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
}

/// Something that can be called.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, with the names of its variable parts in braces.
    pub path: &'static str,
    /// To whom it is open.
    pub access: Access,
    handler: MethodRouter<ApiState>,
}

/// Everything that can be called.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    use Access::{Admin, Agent, Known, Listing, Open};

    let sessions = "/api/messaging/sessions";
    let session = "/api/messaging/sessions/{id}";
    let messages = "/api/messaging/sessions/{id}/messages";
    vec![
        get(sessions, Listing, sessions::list),
        post(sessions, Known, sessions::create),
        get("/api/messaging/sessions/health", Known, health::sessions),
        get(session, Known, sessions::show),
        delete(session, Known, sessions::delete),
        get(messages, Known, messages::list),
        post(messages, Known, messages::send),
        post("/api/messaging/sessions/{id}/renew", Known, sessions::renew),
        patch(
            "/api/messaging/sessions/{id}/timeout",
            Known,
            sessions::patch_timeout,
        ),
        post(
            "/api/messaging/sessions/{id}/heartbeat",
            Known,
            sessions::heartbeat,
        ),
        get("/api/messaging/sessions/{id}/events", Known, events::follow),
        get(
            "/api/messaging/channels/{id}/messages",
            Admin,
            messages::transcript,
        ),
        post("/api/messaging/submit", Agent, submit::submit),
        get("/api/agents", Known, agents::list),
        get("/api/agents/{id}", Known, agents::show),
        get("/api/admin/backup", Admin, admin::backup),
        get("/api/admin/export", Admin, admin::export),
        get("/healthz", Open, health::alive),
        get("/health", Open, health::overall),
    ]
}

/// The endpoints as they are found by a request.
#[derive(Debug)]
pub(super) struct Routes {
    /// What answers.
    pub(super) router: Router,
    places: matchit::Router<Place>,
}

/// The methods of a path, and to whom each is open.
#[derive(Debug, Clone)]
struct Place {
    path: &'static str,
    rules: Vec<(Method, Access)>,
}

/// What is known of a request by its method and path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    /// The path with the names of its variable parts.
    pub(super) path: &'static str,
    /// To whom it is open.
    pub(super) access: Access,
}

impl Routes {
    pub(super) fn new(state: ApiState) -> Self {
        let mut router = Router::new();
        let mut places: Vec<Place> = Vec::new();
        for endpoint in endpoints() {
            let rule = (endpoint.method, endpoint.access);
            match places.iter_mut().find(|place| place.path == endpoint.path) {
                Some(place) => place.rules.push(rule),
                None => places.push(Place {
                    path: endpoint.path,
                    rules: vec![rule],
                }),
            }
            router = router.route(endpoint.path, endpoint.handler);
        }
        Self {
            router: router.fallback(unknown).with_state(state),
            places: index(places),
        }
    }

    /// What a request asks for. What there is not is for those alone who may ask.
    pub(super) fn find(&self, method: &Method, path: &str) -> Route {
        let Ok(found) = self.places.at(path) else {
            return Route {
                path: "unknown",
                access: Access::Known,
            };
        };
        let asked = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let place = found.value;
        let rule = place.rules.iter().find(|(method, _)| method == asked);
        Route {
            path: place.path,
            access: rule.map_or(Access::Known, |(_, access)| *access),
        }
    }
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

fn get<H: Handler<T, ApiState>, T: 'static>(
    path: &'static str,
    access: Access,
    handler: H,
) -> Endpoint {
    Endpoint::new(Method::GET, path, access, routing::get(handler))
}

fn post<H: Handler<T, ApiState>, T: 'static>(
    path: &'static str,
    access: Access,
    handler: H,
) -> Endpoint {
    Endpoint::new(Method::POST, path, access, routing::post(handler))
}

fn patch<H: Handler<T, ApiState>, T: 'static>(
    path: &'static str,
    access: Access,
    handler: H,
) -> Endpoint {
    Endpoint::new(Method::PATCH, path, access, routing::patch(handler))
}

fn delete<H: Handler<T, ApiState>, T: 'static>(
    path: &'static str,
    access: Access,
    handler: H,
) -> Endpoint {
    Endpoint::new(Method::DELETE, path, access, routing::delete(handler))
}

impl Endpoint {
    fn new(
        method: Method,
        path: &'static str,
        access: Access,
        handler: MethodRouter<ApiState, Infallible>,
    ) -> Self {
        Self {
            method,
            path,
            access,
            handler,
        }
    }
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(request.method(), request.uri().path())
}
