//! The schemas of errors. [`ApiError`](crate::api::error::ApiError) writes them.

#![allow(dead_code, reason = "only the derive macros read these types")]

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::health::{Health, SessionsHealth};
use super::schemas::schema;

/// A failed call.
#[derive(ToSchema)]
#[schema(as = ApiError)]
#[allow(clippy::struct_field_names)] // The wire format has it so.
pub(in crate::api) struct Error {
    #[schema(schema_with = always_false)]
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
    /// A longer text for people.
    details: String,
    #[schema(format = DateTime)]
    timestamp: String,
}

/// The details of an error. Which of them are present depends on its code.
pub(in crate::api) struct ErrorDetails;

impl PartialSchema for ErrorDetails {
    fn schema() -> RefOr<Schema> {
        let text = |what: &str| json!({ "type": "string", "description": what });
        let time =
            |what: &str| json!({ "type": "string", "format": "date-time", "description": what });
        schema(json!({
            "type": "object",
            "description": "The details of an error. Which are present depends on its code.",
            "properties": {
                "field": text("The invalid field."),
                "parameter": text("The invalid parameter of the query."),
                "value": text("The value as sent, cut after 100 characters."),
                "missingFields": { "type": "array", "items": { "type": "string" } },
                "reason": text(
                    "The cause, in words; if the agent did not reply, the reason in `agentError`."
                ),
                "maxBytes": count("int64", "The maximum length of metadata."),
                "method": { "type": "string" },
                "path": { "type": "string" },
                "sessionId": text("As sent in the call."),
                "messageId": text("As sent in the call."),
                "agentId": text("The agent of the call or of the session."),
                "expiresAt": time("When the session expired."),
                "maxDurationMinutes": count("int32", "The maximum duration of the session."),
                "createdAt": time("When the session was created."),
                "timeSinceCreation": {
                    "type": "integer", "format": "int64", "description": "In milliseconds.",
                },
                "turnId": {
                    "type": ["string", "null"],
                    "description": "The turn that a submission names, or null.",
                },
                "key": text("The idempotency key."),
                "retryAfter": count("int64", "In how many seconds to retry."),
                "outcome": text("`unknown`: the change may or may not be stored."),
                "userMessage": {
                    "$ref": "#/components/schemas/UserMessage",
                    "description": "The message, which is stored.",
                },
                "pending": {
                    "type": "boolean", "description": "Whether the reply may still follow.",
                },
            },
        }))
        .into()
    }
}

impl ToSchema for ErrorDetails {}

#[derive(ToSchema)]
pub(in crate::api) struct UnhealthySessions {
    #[serde(flatten)]
    health: SessionsHealth,
    #[serde(flatten)]
    error: Error,
}

#[derive(ToSchema)]
pub(in crate::api) struct Unhealthy {
    #[serde(flatten)]
    health: Health,
    #[serde(flatten)]
    error: Error,
}

fn count(format: &str, what: &str) -> Value {
    json!({ "type": "integer", "format": format, "description": what, "minimum": 0 })
}

fn always_false() -> Schema {
    schema(json!({ "type": "boolean", "enum": [false] }))
}
