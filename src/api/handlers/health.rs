//! How the service is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::dto::{
    self, Alive, Health, SessionsHealth, Unhealthy, UnhealthySessions, WithError,
};
use crate::api::error::ApiError;
use crate::api::openapi::examples;
use crate::api::state::ApiState;
use crate::app::Status;
use crate::domain::time::Timestamp;

/// `GET /api/messaging/sessions/health`
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/health",
    operation_id = "getSessionsHealth",
    tag = "operations",
    summary = "How the service is",
    description = "With why it is not healthy, and how many sessions there are.",
    responses(
        (
            status = 200,
            description = "It works",
            body = SessionsHealth,
            examples(
                ("healthy" = (value = json!(examples::sessions_health(&examples::healthy())))),
                ("degraded" = (value = json!(examples::sessions_health(&examples::degraded())))),
            ),
        ),
        (
            status = 503,
            description = "Nothing new can be stored; the answer is an error too",
            body = UnhealthySessions,
            headers(("Retry-After" = u64, description = "After how many seconds to try again")),
            examples(("unhealthy" = (value = json!(examples::sessions_unhealthy())))),
        ),
    ),
)]
pub(in crate::api) async fn sessions(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health().await, state.app.now());
    respond(health.status, SessionsHealth::new(&health, now), now)
}

/// `GET /health`: the status and nothing else.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    tag = "operations",
    summary = "Whether the service is ready",
    description = "Its status and nothing else: 200 while it is healthy or degraded, 503 while it is unhealthy.",
    responses(
        (
            status = 200,
            description = "It works",
            body = Health,
            examples(
                ("healthy" = (value = json!(Health::from(&examples::healthy())))),
                ("degraded" = (value = json!(Health::from(&examples::degraded())))),
            ),
        ),
        (
            status = 503,
            description = "Nothing new can be stored; the answer is an error too",
            body = Unhealthy,
            headers(("Retry-After" = u64, description = "After how many seconds to try again")),
            examples(("unhealthy" = (value = json!(examples::unhealthy_answer())))),
        ),
    ),
)]
pub(in crate::api) async fn overall(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health().await, state.app.now());
    respond(health.status, Health::from(&health), now)
}

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getLiveness",
    tag = "operations",
    summary = "Whether the process answers",
    description = "It says nothing of the database.",
    responses(
        (
            status = 200,
            description = "It does",
            body = Alive,
            examples(("alive" = (value = json!(Alive::OK)))),
        ),
    ),
)]
pub(in crate::api) async fn alive() -> Response {
    dto::json(StatusCode::OK, &Alive::OK)
}

/// An unhealthy service answers in the error form too.
fn respond<T: Serialize>(status: Status, health: T, now: Timestamp) -> Response {
    if status != Status::Unhealthy {
        return dto::json(StatusCode::OK, &health);
    }
    let error = ApiError::unhealthy();
    let body = WithError::new(health, error.document(now));
    error.respond(&body)
}
