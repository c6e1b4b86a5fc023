//! The metrics of the last hour.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::MetricsHistory;
use crate::api::openapi::examples;
use crate::api::response::json;
use crate::api::state::ApiState;

/// Get the metrics of the last hour
///
/// For administrators: up to 360 values of each series, ten seconds apart, oldest first. They are
/// in memory and begin with the server. Null where nothing was measured, also while the machine was
/// suspended.
#[utoipa::path(
    get,
    path = "/api/admin/metrics/history",
    operation_id = "getMetricsHistory",
    tag = "operations",
    responses((
        status = 200, description = "The metrics", body = MetricsHistory,
        examples(("history" = (value = json!(examples::metrics_history())))),
    )),
)]
pub(in crate::api) async fn show(State(state): State<ApiState>) -> Response {
    let points = state.app.metrics().history.points();
    json(StatusCode::OK, &MetricsHistory::new(&points))
}
