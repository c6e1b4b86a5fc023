//! Reading and writing single fields of a line.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::id::parse_uuid;
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::time::Timestamp;
use crate::json;

pub(super) fn id<T: From<u128>>(field: &str, text: &str) -> Result<T, String> {
    parse_uuid(text)
        .map(|id| T::from(id.as_u128()))
        .ok_or_else(|| format!("{field} is not a UUID"))
}

/// Parses a time. It must be in its canonical form, or it would not be exported as it was imported.
pub(super) fn time(field: &str, text: &str) -> Result<Timestamp, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Timestamp(time.timestamp_millis()))
        .ok()
        .filter(|time| Timestamp::WRITABLE.contains(time) && time.to_string() == text)
        .ok_or_else(|| format!("{field} is not a time like 2024-01-15T10:30:45.123Z"))
}

pub(super) fn key(field: &str, text: &str) -> Result<IdempotencyKey, String> {
    IdempotencyKey::parse(text).ok_or_else(|| format!("{field} is not an idempotency key"))
}

/// Parses a SHA-256 digest, in lower case so that it is exported as it was imported.
pub(super) fn digest(field: &str, text: &str) -> Result<RequestDigest, String> {
    let mut bytes = [0; 32];
    let decoded = hex::decode_to_slice(text, &mut bytes);
    if decoded.is_err() || text != hex::encode(bytes) {
        return Err(format!("{field} is not a SHA-256 digest of 64 hex digits"));
    }
    Ok(RequestDigest(bytes))
}

/// Returns stored JSON as it is. Invalid JSON, which only a bug can store, becomes a string.
pub(super) fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap_or_else(|_| {
        let text = serde_json::to_string(text).unwrap_or_default();
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
}

/// Returns the text of a JSON object as it is in the line.
pub(super) fn object(field: &str, raw: &RawValue) -> Result<String, String> {
    read::<Map<String, Value>>(raw, field, "object")
}

/// Returns the text of a JSON array as it is in the line.
pub(super) fn array(field: &str, raw: &RawValue) -> Result<String, String> {
    read::<Vec<Value>>(raw, field, "array")
}

/// Checks the type, depth and numbers, since the parser of the line has only checked the syntax.
/// Values that are nested too deeply, or out of range, would be stored but could never be read.
fn read<T: DeserializeOwned>(raw: &RawValue, field: &str, kind: &str) -> Result<String, String> {
    let text = raw.get();
    match serde_json::from_str::<T>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) if error.is_data() => Err(format!("{field} is not a JSON {kind}")),
        Err(error) => {
            let reason = json::explain(&error);
            // The line of the file is another one.
            let reason = reason.split(" at line 1 column").next().unwrap_or_default();
            Err(format!("{field}: {reason}"))
        }
    }
}
