//! Helpers for JSON values.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Returns the JSON type of a value, with an article.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Deserializes an object into a struct of [`Field`](super::Field)s.
#[must_use]
pub fn read<T: DeserializeOwned + Default>(members: Map<String, Value>) -> T {
    serde_json::from_value(Value::Object(members)).unwrap_or_default()
}

/// Returns whether two optional JSON texts have the same value.
#[must_use]
pub fn is_same(one: Option<&str>, other: Option<&str>) -> bool {
    if one == other {
        return true;
    }
    let (Some(one), Some(other)) = (one, other) else {
        return false;
    };
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|one| parse(other) == Some(one))
}

/// Returns the compact text of a JSON value.
pub fn text<T: Serialize + ?Sized>(value: &T) -> String {
    // This can fail only for keys that are not strings, or a failing `Serialize`.
    serde_json::to_string(value).unwrap_or_default()
}
