//! How the service is.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::app::{Health, Status};
use crate::domain::time::Timestamp;
use crate::http::dto;
use crate::http::error::ApiError;
use crate::http::router::ApiState;

/// `GET /api/messaging/sessions/health`
pub(in crate::http) async fn sessions(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health(), state.app.now());
    respond(&health, dto::health(&health, now), now)
}

/// `GET /health`: the status and nothing else.
pub(in crate::http) async fn overall(State(state): State<ApiState>) -> Response {
    let (health, now) = (state.app.health(), state.app.now());
    let mut body = Map::new();
    body.insert("status".into(), dto::status(health.status).into());
    respond(&health, body, now)
}

/// `GET /healthz`: the process answers.
pub(in crate::http) async fn alive() -> Response {
    dto::json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// An unhealthy service answers in the error form too.
fn respond(health: &Health, mut body: Map<String, Value>, now: Timestamp) -> Response {
    if health.status != Status::Unhealthy {
        return dto::json(StatusCode::OK, &body);
    }
    let error = ApiError::unhealthy();
    if let Value::Object(document) = error.document(now) {
        body.extend(document);
    }
    error.respond(&body)
}
