//! The schemas of errors. [`ApiError`](crate::api::error::ApiError) writes them.

#![allow(
    dead_code,
    reason = "the derive macros read these, and nothing makes them"
)]

use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::message::UserMessage;
use super::schemas::schema;

/// A call that failed.
#[derive(ToSchema)]
#[schema(as = ApiError)]
#[allow(clippy::struct_field_names)] // The wire has it so.
pub(in crate::api) struct Error {
    #[schema(schema_with = no)]
    success: (),
    error: ErrorDetail,
    /// The same as `error.code`.
    code: String,
    /// What happened, for programs.
    details: ErrorDetails,
}

/// What went wrong.
#[derive(ToSchema)]
pub(in crate::api) struct ErrorDetail {
    #[schema(example = "SESSION_EXPIRED")]
    code: String,
    #[schema(example = "SessionExpiredError")]
    r#type: String,
    /// For people.
    message: String,
    /// For people, in more words.
    details: String,
    #[schema(value_type = String, format = DateTime)]
    timestamp: String,
}

/// What an error is about: of these, what its code says.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(in crate::api) struct ErrorDetails {
    /// The field that is not valid.
    #[schema(nullable = false)]
    field: Option<String>,
    /// The query's parameter that is not valid.
    #[schema(nullable = false)]
    parameter: Option<String>,
    /// What was given, at most 100 characters of it.
    #[schema(nullable = false)]
    value: Option<String>,
    #[schema(nullable = false)]
    missing_fields: Option<Vec<String>>,
    /// Why, in words.
    #[schema(nullable = false)]
    reason: Option<String>,
    /// How large metadata may be.
    #[schema(nullable = false)]
    max_bytes: Option<u64>,
    #[schema(nullable = false)]
    method: Option<String>,
    #[schema(nullable = false)]
    path: Option<String>,
    /// As the call named it.
    #[schema(nullable = false)]
    session_id: Option<String>,
    /// As the call named it.
    #[schema(nullable = false)]
    agent_id: Option<String>,
    /// When the session expired.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    expires_at: Option<String>,
    /// How long the session can last.
    #[schema(nullable = false)]
    max_duration_minutes: Option<u32>,
    /// When the session was created.
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    created_at: Option<String>,
    /// In milliseconds.
    #[schema(nullable = false)]
    time_since_creation: Option<i64>,
    /// The idempotency key.
    #[schema(nullable = false)]
    key: Option<String>,
    /// After how many seconds to try again.
    #[schema(nullable = false)]
    retry_after: Option<u64>,
    /// `unknown` where a commit failed half-way: it may or may not be stored.
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// The message that was kept.
    #[schema(nullable = false)]
    user_message: Option<UserMessage<'static>>,
    /// Whether the reply to it may still come.
    #[schema(nullable = false)]
    pending: Option<bool>,
}

fn no() -> Schema {
    schema(json!({ "type": "boolean", "enum": [false] }))
}
