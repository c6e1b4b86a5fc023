//! The HTTP API: router, handlers, requests and responses.

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
mod missing_page;
mod observe;
mod openapi;
mod precompressed;
mod response;
mod router;
mod sockets;
mod sse;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower::util::{MapRequest, MapResponse};

pub use self::access::Endpoint;
use self::handlers::fallback;
use self::precompressed::Precompressed;
pub use self::sockets::Sockets;
use self::state::ApiState;
use crate::app::App;
use crate::auth::Authenticator;

/// The service that answers the requests of all connections.
pub type ApiService =
    MapRequest<MapResponse<Router, fn(Response) -> Response>, fn(Request) -> Request>;

/// Returns the API as a service. Each request must carry its `Arc<Connection>` as an extension.
pub fn service(app: &Arc<App>, authenticator: &Arc<Authenticator>, sockets: Sockets) -> ApiService {
    let (router, description) = router::routes().router.split_for_parts();
    let description = openapi::document(&description).to_string();
    let state = ApiState {
        app: Arc::clone(app),
        openapi: Arc::new(Precompressed::new(description.into())),
    };
    let router = router
        .with_state(state)
        .merge(sockets::router(sockets))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::method_not_allowed);
    let router = layers::layered(router, app, authenticator);
    // These enclose the router, which sets `Allow` and matches the path.
    let service = MapResponse::new(router, layers::only_allow_methods_to_405 as fn(_) -> _);
    MapRequest::new(service, layers::trim_trailing_slashes as fn(_) -> _)
}

/// Returns every route of the API with its access rule.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    router::routes().endpoints
}
