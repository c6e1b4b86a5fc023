//! Socket.IO, which answers below a path, in a form, and to credentials, of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower::ServiceExt as _;

use super::access::{limited, protected};
use super::body;
use super::error::ApiError;
use crate::auth::access::Access;
use crate::connections::Connection;

/// What answers below the path.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The path.
    pub path: &'static str,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// The service.
    pub router: Router,
}

/// Returns the routes to the sockets, which check credentials by themselves.
pub(super) fn router(sockets: Sockets) -> Router {
    let below = format!("{}/{{*rest}}", sockets.path);
    let path = sockets.path;
    let methods = protected(Access::Public, limited(sockets.max_body, any(answer)));
    let router = Router::new()
        .route(path, methods.clone())
        .route(&below, methods);
    router.with_state(Arc::new(sockets))
}

/// Has the sockets answer once the whole body is there.
async fn answer(State(sockets): State<Arc<Sockets>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let connection = parts.extensions.get::<Arc<Connection>>();
    if connection.is_some_and(|connection| connection.is_local()) {
        // Their connections count with those of TCP, and the commands do without sockets.
        return ApiError::not_found(&parts.method, parts.uri.path()).into_response();
    }
    let received = match body::read(connection, body, sockets.max_body).await {
        Ok(received) => received,
        Err(error) => return error.into_response(),
    };
    let body = Body::from(received.bytes().clone());
    let request = Request::from_parts(parts, body);
    let answered = sockets.router.clone().oneshot(request).await;
    answered.into_response()
}
