//! Replies of external agents.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::Submitted;
use crate::api::dto::requests::SubmitRequest;
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, KeyHeader};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{BodyErrors, SessionErrors, StorageErrors, SubmitErrors};
use crate::api::response::{json, mark_replayed};
use crate::api::state::ApiState;
use crate::app::SubmissionResult;

/// Submit the reply of an external agent
///
/// For clients with the server's token and administrators. The reply closes the turn that `turnId`
/// or `in_reply_to_message_id` names, or all turns of the session that wait for a reply. If there
/// is no such turn, it is stored as a further message of the agent. With `turnId`, and with `error`
/// instead of `content`, the call closes a turn or is 409 `TURN_CLOSED`.
#[utoipa::path(
    post,
    path = "/api/messaging/submit",
    operation_id = "submitMessage",
    tag = "agents",
    params(KeyHeader),
    request_body(content = SubmitRequest, example = json!({
        "channel_id": "018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44",
        "author_id": "b850bc30-45f8-0041-a00a-83df46d8555d",
        "content": "Hello Ada. What brings you here?",
        "in_reply_to_message_id": "018d0d2e-5b01-7a3e-8f5b-3c90c3cc0d45",
        "raw_message": { "thought": "Ada greets me.", "actions": ["REPLY"] },
    })),
    responses(
        (
            status = 201,
            description = "The reply is stored, or the turns are closed with the error",
            body = Submitted<'_>,
            headers((
                "Idempotent-Replayed" = String,
                description = "`true` if an earlier call with this key has done it"
            )),
            examples(
                ("submitted" = (value = json!(examples::submitted()))),
                ("failed" = (value = json!(examples::submitted_error()))),
            ),
        ),
        BodyErrors,
        SessionErrors,
        SubmitErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn submit(
    State(state): State<ApiState>,
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<SubmitRequest>,
) -> Result<Response, ApiError> {
    let submission = body.validate(key.as_deref())?;
    let result = state.app.submit(submission).await;
    let result = result.map_err(|error| ApiError::from_app(error, Call::Send))?;
    let (answer, is_replayed) = match &result {
        SubmissionResult::Reply(reply) => {
            let answer = Submitted::reply(&reply.session, &reply.message);
            (answer, reply.replayed)
        }
        SubmissionResult::Error(error) => (Submitted::error(&error.failed), error.replayed),
    };
    let response = json(StatusCode::CREATED, &answer);
    Ok(mark_replayed(response, is_replayed))
}
