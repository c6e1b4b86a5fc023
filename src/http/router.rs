//! The whole API on one page.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, patch, post};

use super::auth::Guard;
use super::error::ApiError;
use super::middleware::outermost;
use super::routes::{agents, health, messages, sessions};
use crate::app::App;
use crate::config::ServerConfig;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
    pub(super) guard: Guard,
}

pub(super) fn router(app: Arc<App>, config: &ServerConfig) -> Router {
    let guard = Guard::new(config.auth_token.as_ref());
    let state = ApiState { app, guard };

    let session = Router::new()
        .route("/", get(sessions::show).delete(sessions::delete))
        .route("/messages", get(messages::list).post(messages::send))
        .route("/renew", post(sessions::renew))
        .route("/timeout", patch(sessions::patch_timeout))
        .route("/heartbeat", post(sessions::heartbeat));

    Router::new()
        .route(
            "/api/messaging/sessions",
            get(sessions::list).post(sessions::create),
        )
        .route("/api/messaging/sessions/health", get(health::sessions))
        .nest("/api/messaging/sessions/{id}", session)
        .route(
            "/api/messaging/channels/{id}/messages",
            get(messages::transcript),
        )
        .route("/api/agents", get(agents::list))
        .route("/api/agents/{id}", get(agents::show))
        .route("/healthz", get(health::alive))
        .route("/health", get(health::overall))
        .fallback(unknown)
        .layer(from_fn_with_state(state.clone(), outermost))
        .with_state(state)
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(request.method(), request.uri().path())
}
