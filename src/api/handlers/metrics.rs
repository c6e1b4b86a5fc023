//! The metrics.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::api::openapi::examples;
use crate::api::state::ApiState;
use crate::metrics::Format;

/// `GET /metrics`
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "operations",
    summary = "The server's metrics",
    description = "For Prometheus, as its text format, or as OpenMetrics for those who accept that. For administrators.",
    responses(
        (
            status = 200,
            description = "The metrics",
            content(
                (String = "text/plain; version=0.0.4; charset=utf-8", example = json!(examples::METRICS)),
                (String = "application/openmetrics-text; version=1.0.0; charset=utf-8", example = json!(examples::METRICS)),
            ),
        ),
    ),
)]
pub(in crate::api) async fn show(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let mut response = Response::new(Body::from(state.app.metrics_text(format).await));
    response.headers_mut().extend([
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(format.content_type()),
        ),
        (header::VARY, HeaderValue::from_static("Accept")),
    ]);
    response
}
