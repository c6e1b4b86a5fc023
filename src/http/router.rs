//! The whole API on one page.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, patch, post};

use super::error::ApiError;
use super::routes::{agents, console, events, health, messages, metrics, sessions};
use crate::app::App;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct ApiState {
    pub(super) app: Arc<App>,
}

pub(super) fn router(state: ApiState) -> Router {
    Router::new()
        .route(
            "/api/messaging/sessions",
            get(sessions::list).post(sessions::create),
        )
        .route("/api/messaging/sessions/health", get(health::sessions))
        .route(
            "/api/messaging/sessions/{id}",
            get(sessions::show).delete(sessions::delete),
        )
        .route(
            "/api/messaging/sessions/{id}/messages",
            get(messages::list).post(messages::send),
        )
        .route("/api/messaging/sessions/{id}/renew", post(sessions::renew))
        .route(
            "/api/messaging/sessions/{id}/timeout",
            patch(sessions::patch_timeout),
        )
        .route(
            "/api/messaging/sessions/{id}/heartbeat",
            post(sessions::heartbeat),
        )
        .route("/api/messaging/sessions/{id}/events", get(events::follow))
        .route(
            "/api/messaging/channels/{id}/messages",
            get(messages::transcript),
        )
        .route("/api/agents", get(agents::list))
        .route("/api/agents/{id}", get(agents::show))
        .route("/", get(console::file))
        .route("/docs", get(console::file))
        .route("/console/{file}", get(console::file))
        .route("/metrics", get(metrics::show))
        .route("/healthz", get(health::alive))
        .route("/health", get(health::overall))
        .fallback(unknown)
        .with_state(state)
}

async fn unknown(request: Request) -> ApiError {
    ApiError::not_found(request.method(), request.uri().path())
}
