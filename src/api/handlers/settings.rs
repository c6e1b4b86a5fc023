//! The settings.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::SettingsAnswer;
use crate::api::openapi::examples;
use crate::api::response::json;
use crate::api::state::ApiState;

/// Get the settings of the server
///
/// For administrators: each setting with the value that the server uses, where it was set, and its
/// default. Of a secret, only whether it is set.
#[utoipa::path(
    get,
    path = "/api/admin/settings",
    operation_id = "getSettings",
    tag = "operations",
    responses((
        status = 200, description = "The settings", body = SettingsAnswer<'_>,
        examples(("settings" = (value = json!(examples::settings())))),
    )),
)]
pub(in crate::api) async fn show(State(state): State<ApiState>) -> Response {
    json(StatusCode::OK, &SettingsAnswer::new(state.app.settings()))
}
