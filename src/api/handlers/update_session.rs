//! Changing the metadata of a session.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::SessionInfo;
use crate::api::dto::requests::UpdateSessionRequest;
use crate::api::error::ApiError;
use crate::api::extract::{ApiJson, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{BodyErrors, SessionErrors, StorageErrors};
use crate::api::response::json;
use crate::api::state::ApiState;

/// Change the metadata of a session
///
/// `metadata` is a JSON merge patch: null removes a member, absent members stay. This is not
/// activity. Subscribers receive `sessionUpdated` if anything changes.
#[utoipa::path(
    patch,
    path = "/api/messaging/sessions/{sessionId}",
    operation_id = "updateSession",
    tag = "sessions",
    params(SessionPath),
    request_body(content = UpdateSessionRequest, example = json!({
        "metadata": { "title": "About the weather", "platform": null },
    })),
    responses(
        (
            status = 200, description = "The session", body = SessionInfo,
            examples(("session" = (value = json!(examples::current_session())))),
        ),
        BodyErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn update(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    ApiJson(body): ApiJson<UpdateSessionRequest>,
) -> Result<Response, ApiError> {
    let patch = body.validate()?;
    let session = state.app.update_metadata(&session, patch).await?;
    let info = SessionInfo::new(&session, state.app.now(), state.app.retention());
    Ok(json(StatusCode::OK, &info))
}
