//! The metrics.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::api::openapi::examples;
use crate::api::state::ApiState;
use crate::metrics::Format;

/// Get the server's metrics
///
/// For Prometheus, in its text format or, if `Accept` asks for it, in that of `OpenMetrics`. For
/// administrators.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "operations",
    responses(
        (
            status = 200,
            description = "The metrics",
            content(
                (
                    String = "text/plain; version=0.0.4; charset=utf-8",
                    example = json!(examples::METRICS),
                ),
                (
                    String = "application/openmetrics-text; version=1.0.0; charset=utf-8",
                    example = json!(examples::METRICS),
                ),
            ),
        ),
    ),
)]
pub(in crate::api) async fn show(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "Accept"),
    ];
    (headers, state.app.metrics_text(format).await).into_response()
}
