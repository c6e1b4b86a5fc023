//! The figures.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::http::router::ApiState;
use crate::metrics::CONTENT_TYPE;

/// `GET /metrics`
pub(in crate::http) async fn show(State(state): State<ApiState>) -> Response {
    let mut response = Response::new(Body::from(state.app.metrics_text()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}
