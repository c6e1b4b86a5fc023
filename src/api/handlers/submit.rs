//! Replies of external agents.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::Submitted;
use crate::api::dto::requests::SubmitRequest;
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, KeyHeader};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{BodyErrors, KeyErrors, SessionErrors, StorageErrors};
use crate::api::response::{json, mark_replayed};
use crate::api::state::ApiState;

/// Submit the reply of an external agent
///
/// For clients with the server's token and administrators. The reply closes the turn that
/// `in_reply_to_message_id` names, or all turns of the session that wait for a reply. If there is
/// no such turn, it is stored as a further message of the agent.
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
            description = "The reply is stored",
            body = Submitted<'_>,
            headers((
                "Idempotent-Replayed" = String,
                description = "`true` if an earlier call with this key has done it"
            )),
            examples(("submitted" = (value = json!(examples::submitted())))),
        ),
        BodyErrors,
        SessionErrors,
        KeyErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn submit(
    State(state): State<ApiState>,
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<SubmitRequest>,
) -> Result<Response, ApiError> {
    let submission = body.validate(key.as_deref())?;
    let submitted = state.app.submit(submission).await;
    let submitted = submitted.map_err(|error| ApiError::from_app(error, Call::Send))?;
    let body = Submitted::new(&submitted.session, &submitted.message);
    let response = json(StatusCode::CREATED, &body);
    Ok(mark_replayed(response, submitted.replayed))
}
