//! Fields that several requests have.

use serde_json::{Map, Value, json};
use utoipa::openapi::Schema;
use uuid::Uuid;

use crate::api::dto::schemas::schema;
use crate::app::error::ValidationError;
use crate::domain::id::parse_uuid;
use crate::domain::key::IdempotencyKey;
use crate::json::Field;

/// An object with any members.
pub(super) type Object = Map<String, Value>;

/// Refuses fields that are absent, null or empty.
pub(super) fn require(fields: &[(&'static str, &Field<String>)]) -> Result<(), ValidationError> {
    let missing = fields.iter().filter(|(_, field)| field.is_missing());
    let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ValidationError::MissingFields(missing))
    }
}

pub(super) fn uuid(field: &'static str, sent: Field<String>) -> Result<Uuid, ValidationError> {
    let text = sent.given().ok().flatten();
    let id = text.as_deref().and_then(parse_uuid);
    id.ok_or(ValidationError::Uuid { field, value: text })
}

/// Parses the `Idempotency-Key` header.
pub(super) fn header_key(sent: Option<&str>) -> Result<Option<IdempotencyKey>, ValidationError> {
    let Some(text) = sent else {
        return Ok(None);
    };
    let key = IdempotencyKey::parse(text).map(Some);
    key.ok_or_else(|| ValidationError::Body(invalid_key("Idempotency-Key")))
}

/// Parses a field that is a key.
pub(super) fn field_key(
    field: &'static str,
    sent: Field<String>,
) -> Result<Option<IdempotencyKey>, ValidationError> {
    let key = match sent {
        Field::Absent | Field::Null => return Ok(None),
        Field::Value(text) => IdempotencyKey::parse(&text),
        Field::Wrong(_) => None,
    };
    let reason = || invalid_key(field);
    key.map(Some).ok_or_else(|| ValidationError::Content {
        field,
        reason: reason(),
    })
}

fn invalid_key(name: &str) -> String {
    format!("{name} must be 1 to 255 visible ASCII characters")
}

pub(super) fn metadata_schema() -> Schema {
    schema(json!({
        "type": ["object", "null"],
        "description": "The client's own data, at most 10,240 bytes",
        "example": { "platform": "web", "username": "Ada" },
    }))
}

pub(super) fn key_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "pattern": "^[!-~]{1,255}$",
        "example": "m-1",
        "description": "An idempotency key: a repeat with the same key stores nothing",
    }))
}
