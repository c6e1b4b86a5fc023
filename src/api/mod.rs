//! The HTTP API: from the router to the handlers and what they answer.

mod access;
mod admission;
mod authentication;
mod body;
pub(crate) mod dto;
mod error;
mod extract;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handlers;
mod layers;
mod observe;
mod openapi;
mod router;
mod sockets;
mod sse;
mod state;

use std::sync::Arc;

use axum::Router;
use tower_http::normalize_path::NormalizePath;

pub use self::access::Endpoint;
use self::handlers::fallback;
pub use self::sockets::Sockets;
use self::state::ApiState;
use crate::app::App;
use crate::guard::Guard;

/// Returns the whole API as a service. Each request brings its `Arc<Connection>` as an extension.
pub fn service(app: &Arc<App>, guard: &Arc<Guard>, sockets: Sockets) -> NormalizePath<Router> {
    let (router, description) = router::routes().split();
    let state = ApiState {
        app: Arc::clone(app),
        openapi: openapi::document(description).to_string().into(),
    };
    let router = router
        .with_state(state)
        .merge(sockets::router(sockets))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed);
    let router = layers::layered(router, app, guard);
    // Around the router: it has to see the path before that is matched.
    NormalizePath::trim_trailing_slash(router)
}

/// Returns every route of the API with its access rule.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    router::routes().into_endpoints()
}
