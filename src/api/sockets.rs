//! Mounts Socket.IO, which has its own responses and checks credentials itself.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower::ServiceExt as _;

use super::access::{BodyLimit, limit_body, protect};
use super::body;
use super::error::ApiError;
use crate::auth::access::Access;
use crate::connections::Connection;

/// The service that answers below a path.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The path.
    pub path: &'static str,
    /// The maximum length of a request's body, in bytes.
    pub max_body: usize,
    /// The service.
    pub router: Router,
}

pub(super) fn router(sockets: Sockets) -> Router {
    let methods = protect(
        Access::Public,
        limit_body(BodyLimit::new(sockets.max_body), any(answer)),
    );
    let router = Router::new()
        .route(sockets.path, methods.clone())
        .route(&format!("{}/{{*rest}}", sockets.path), methods);
    router.with_state(Arc::new(sockets))
}

/// Forwards a request after its body was received.
async fn answer(State(sockets): State<Arc<Sockets>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let connection = parts.extensions.get::<Arc<Connection>>();
    if connection.is_some_and(|connection| connection.is_local()) {
        // Sockets count against the TCP connections, and the command line does not need them.
        return ApiError::not_found(&parts.method, parts.uri.path()).into_response();
    }
    let received = match body::read(connection, body, BodyLimit::new(sockets.max_body)).await {
        Ok(received) => received,
        Err(error) => return error.into_response(),
    };
    let request = Request::from_parts(parts, Body::from(received.bytes.clone()));
    let answered = sockets.router.clone().oneshot(request).await;
    answered.into_response()
}
