//! How the service is.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::api::dto;
use crate::api::error::ApiError;
use crate::api::openapi::bodies;
use crate::api::state::ApiState;
use crate::app::{Health, Status};
use crate::domain::time::Timestamp;
use crate::instance;

/// `GET /api/messaging/sessions/health`
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/health",
    operation_id = "getSessionsHealth",
    tag = "operations",
    summary = "How the service is",
    description = "With why it is not healthy, and how many sessions there are.",
    responses(
        (status = 200, description = "It works", body = bodies::SessionsHealth),
        (status = 503, description = "Nothing new can be stored; the answer is an error too", body = bodies::UnhealthySessions),
    ),
)]
pub(in crate::api) async fn sessions(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health(), state.app.now());
    respond(&health, dto::health(&health, now), now)
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
        (status = 200, description = "It works", body = bodies::Health),
        (status = 503, description = "Nothing new can be stored; the answer is an error too", body = bodies::Unhealthy),
    ),
)]
pub(in crate::api) async fn overall(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health(), state.app.now());
    respond(&health, dto::overall(&health), now)
}

/// `GET /healthz`: the process answers.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getLiveness",
    tag = "operations",
    summary = "Whether the process answers",
    description = "It says nothing of the database.",
    responses((status = 200, description = "It does", body = bodies::Alive, headers(("X-Sessiond-Instance" = String, description = "The random id of the process, for the commands that look for the server of a data folder")))),
)]
pub(in crate::api) async fn alive() -> Response {
    let mut response = dto::json(StatusCode::OK, &json!({ "status": "ok" }));
    if let Ok(id) = HeaderValue::try_from(instance::id().to_string()) {
        response.headers_mut().insert(instance::HEADER, id);
    }
    response
}

/// An unhealthy service answers in the error form too.
fn respond(health: &Health, body: Map<String, Value>, now: Timestamp) -> Response {
    if health.status != Status::Unhealthy {
        return dto::json(StatusCode::OK, &body);
    }
    ApiError::unhealthy().respond(&unhealthy(body, now))
}

/// What an unhealthy service says of itself, and the error that it is.
pub(in crate::api) fn unhealthy(
    mut body: Map<String, Value>,
    now: Timestamp,
) -> Map<String, Value> {
    if let Value::Object(document) = ApiError::unhealthy().document(now) {
        body.extend(document);
    }
    body
}
