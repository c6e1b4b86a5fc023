//! The description of the API.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::api::state::ApiState;

/// `GET /openapi.json`
pub(in crate::api) async fn show(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    state.openapi.respond(&headers, "application/json")
}
