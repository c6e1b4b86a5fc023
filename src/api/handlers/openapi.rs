//! The description of the API.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::api::state::ApiState;

/// `GET /openapi.json`
pub(in crate::api) async fn show(State(state): State<ApiState>) -> Response {
    let mut response = Response::new(Body::from(state.openapi));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
