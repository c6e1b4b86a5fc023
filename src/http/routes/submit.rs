//! Replies of agents that run elsewhere.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use crate::app::SubmitRequest;
use crate::http::dto;
use crate::http::error::{ApiError, Call};
use crate::http::extract::{JsonObject, idempotency_key};
use crate::http::router::ApiState;
use crate::http::routes::messages::REPLAYED;

/// `POST /api/messaging/submit`
pub(in crate::http) async fn submit(
    State(state): State<ApiState>,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let request = SubmitRequest {
        fields,
        key: idempotency_key(&headers),
    };
    let submitted = state.app.submit(request).await;
    let submitted = submitted.map_err(|error| ApiError::of(error, Call::Send))?;
    let body = dto::submitted(&submitted.session, &submitted.message);
    let mut response = dto::json(StatusCode::CREATED, &body);
    if submitted.replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
