//! The bodies of requests, as HTTP and sockets read them.
//!
//! A struct reads any JSON object: its fields are [`Field`]s, which are judged by `validate`, in the
//! order in which the documents list them. The first wrong one makes the error.

mod create;
mod send;
mod submit;
#[cfg(test)]
mod tests;
mod timeout;

use serde_json::{Map, Value, json};
use utoipa::openapi::Schema;
use uuid::Uuid;

pub(crate) use self::create::CreateSessionRequest;
pub(crate) use self::send::{SendMessageRequest, StreamMessageRequest, Transport};
pub(crate) use self::submit::SubmitRequest;
pub(crate) use self::timeout::TimeoutRequest;
use crate::app::error::ValidationError;
use crate::domain::id::parse_uuid;
use crate::domain::key::IdempotencyKey;
use crate::json::Field;

/// An object of anything.
type Object = Map<String, Value>;

/// Refuses fields that are absent, null or empty.
fn require(fields: &[(&'static str, &Field<String>)]) -> Result<(), ValidationError> {
    let missing = fields.iter().filter(|(_, field)| field.is_missing());
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ValidationError::MissingFields(missing))
    }
}

fn uuid(field: &'static str, sent: Field<String>) -> Result<Uuid, ValidationError> {
    let text = sent.given().ok().flatten();
    let id = text.as_deref().and_then(parse_uuid);
    id.ok_or(ValidationError::Uuid { field, value: text })
}

/// The key of the `Idempotency-Key` header.
fn header_key(sent: Option<&str>) -> Result<Option<IdempotencyKey>, ValidationError> {
    let Some(text) = sent else {
        return Ok(None);
    };
    let wrong = || {
        ValidationError::Body("Idempotency-Key must be 1 to 255 visible ASCII characters".into())
    };
    IdempotencyKey::parse(text).map(Some).ok_or_else(wrong)
}

/// The key of a field.
fn field_key(
    field: &'static str,
    sent: Field<String>,
) -> Result<Option<IdempotencyKey>, ValidationError> {
    let key = match sent {
        Field::Absent | Field::Null => return Ok(None),
        Field::Value(text) => IdempotencyKey::parse(&text),
        Field::Wrong(_) => None,
    };
    let wrong = || ValidationError::Content {
        field,
        reason: format!("{field} must be 1 to 255 visible ASCII characters"),
    };
    key.map(Some).ok_or_else(wrong)
}

/// A schema as it is written in the document.
fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap_or_default()
}

fn metadata_schema() -> Schema {
    schema(json!({
        "type": ["object", "null"],
        "description": "Anything that the client wants to keep with it, at most 10,240 bytes",
        "example": { "platform": "web", "username": "Ada" },
    }))
}

fn key_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "pattern": "^[!-~]{1,255}$",
        "example": "m-1",
        "description": "A name for the message, under which a repeat stores nothing",
    }))
}
