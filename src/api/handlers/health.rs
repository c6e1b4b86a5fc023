//! The health of the server.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::dto::{Alive, Health, SessionsHealth, Unhealthy, UnhealthySessions, WithError};
use crate::api::error::ApiError;
use crate::api::openapi::examples;
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::app::Status;
use crate::app::error::Unavailable;
use crate::domain::time::Timestamp;

/// Get the health of the server with its sessions
///
/// With the reasons if it is not healthy, and the number of sessions.
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/health",
    operation_id = "getSessionsHealth",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "The server is healthy or degraded",
            body = SessionsHealth,
            examples(
                ("healthy" = (value = json!(examples::sessions_health(&examples::healthy())))),
                ("degraded" = (value = json!(examples::sessions_health(&examples::degraded())))),
            ),
        ),
        (
            status = 503,
            description = "Nothing can be stored; the response is an error too",
            body = UnhealthySessions,
            headers(("Retry-After" = u64, description = "In how many seconds to retry")),
            examples(("unhealthy" = (value = json!(examples::sessions_unhealthy())))),
        ),
    ),
)]
pub(in crate::api) async fn sessions(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health().await, state.app.now());
    respond(health.status, SessionsHealth::new(&health, now), now)
}

/// Get the readiness of the server
///
/// Only the status: 200 while the server is healthy or degraded, 503 while it is unhealthy.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "getHealth",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "The server is healthy or degraded",
            body = Health,
            examples(
                ("healthy" = (value = json!(Health::from(&examples::healthy())))),
                ("degraded" = (value = json!(Health::from(&examples::degraded())))),
            ),
        ),
        (
            status = 503,
            description = "Nothing can be stored; the response is an error too",
            body = Unhealthy,
            headers(("Retry-After" = u64, description = "In how many seconds to retry")),
            examples(("unhealthy" = (value = json!(examples::unhealthy_answer())))),
        ),
    ),
)]
pub(in crate::api) async fn overall(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health().await, state.app.now());
    respond(health.status, Health::from(&health), now)
}

/// Get the liveness of the server
///
/// The response does not depend on the database.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getLiveness",
    tag = "operations",
    responses((
        status = 200,
        description = "The process is running",
        body = Alive,
        examples(("alive" = (value = json!(Alive::OK)))),
    )),
)]
pub(in crate::api) async fn alive() -> Response {
    json(StatusCode::OK, &Alive::OK)
}

/// Returns the health as a response, which is an error too if the server is unhealthy.
fn respond<T: Serialize>(status: Status, health: T, now: Timestamp) -> Response {
    if status != Status::Unhealthy {
        return json(StatusCode::OK, &health);
    }
    let unhealthy = ApiError::from(Unavailable::Storage);
    let error = unhealthy.document(now);
    unhealthy.respond(&WithError { health, error })
}
