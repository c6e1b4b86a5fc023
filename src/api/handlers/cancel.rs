//! Cancelling turns.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::CancelledTurns;
use crate::api::dto::requests::CancelRequest;
use crate::api::error::ApiError;
use crate::api::extract::{OptionalJson, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{BodyErrors, SessionErrors, StorageErrors};
use crate::api::response::json;
use crate::api::state::ApiState;

/// Stop replies
///
/// Closes the open turn of a message, or all open turns of the session, and stops the agent. Text
/// that was already sent becomes the reply, unless `keepPartial` is false. A body is optional. The
/// answer names the messages whose turns this call has closed; a repeat answers none. This is not
/// activity.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/cancel",
    operation_id = "cancelSessionTurns",
    tag = "messages",
    params(SessionPath),
    request_body(content = Option<CancelRequest>, example = json!({ "keepPartial": true })),
    responses(
        (
            status = 200,
            description = "The turns are closed",
            body = CancelledTurns,
            examples(
                ("cancelled" = (value = json!(examples::cancelled_turns()))),
                ("nothingOpen" = (value = json!(examples::no_cancelled_turns()))),
            ),
        ),
        BodyErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn cancel(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    OptionalJson(body): OptionalJson<CancelRequest>,
) -> Result<Response, ApiError> {
    let cancellation = body.validate()?;
    let cancelled = state.app.cancel(&session, cancellation).await?;
    Ok(json(StatusCode::OK, &CancelledTurns::new(&cancelled)))
}
