//! Fields that several requests have.

use serde_json::{Map, Value, json};
use utoipa::openapi::Schema;
use uuid::Uuid;

use crate::api::dto::schemas::schema;
use crate::app::error::ValidationError;
use crate::domain::id::parse_uuid;
use crate::domain::key::IdempotencyKey;
use crate::json::Field;

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

pub(in crate::api::dto) fn uuid(
    field: &'static str,
    sent: Field<String>,
) -> Result<Uuid, ValidationError> {
    let text = sent.given().ok().flatten();
    let id = text.as_deref().and_then(parse_uuid);
    id.ok_or(ValidationError::Uuid { field, value: text })
}

pub(super) fn header_key(sent: Option<&str>) -> Result<Option<IdempotencyKey>, ValidationError> {
    let invalid = || ValidationError::Body(invalid_key("Idempotency-Key"));
    let key = sent.map(|text| IdempotencyKey::parse(text).ok_or_else(invalid));
    key.transpose()
}

pub(super) fn field_key(
    field: &'static str,
    sent: Field<String>,
) -> Result<Option<IdempotencyKey>, ValidationError> {
    let invalid = || ValidationError::Content {
        field,
        reason: invalid_key(field),
    };
    let text = sent.given().map_err(|_| invalid())?;
    let key = text.map(|text| IdempotencyKey::parse(&text).ok_or_else(invalid));
    key.transpose()
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
