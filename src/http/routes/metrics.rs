//! The figures.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use crate::http::router::ApiState;
use crate::metrics::CONTENT_TYPE;

/// `GET /metrics`
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "operations",
    summary = "The figures of the server",
    description = "For Prometheus, as OpenMetrics text. For administrators.",
    responses((status = 200, description = "The figures", content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8", body = String)),
)]
pub(in crate::http) async fn show(State(state): State<ApiState>) -> Response {
    let mut response = Response::new(Body::from(state.app.metrics_text()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response
}
