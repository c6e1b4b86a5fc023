//! The description of the API.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::api::state::ApiState;

/// `GET /openapi.json`
pub(in crate::api) async fn show(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let mut response = state.openapi.respond(&headers);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
