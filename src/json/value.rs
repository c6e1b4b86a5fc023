//! JSON values as this server reads and writes them, whoever sent them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The JSON type of a value, with its article.
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

/// Reads the members of an object into a struct whose fields take anything.
#[must_use]
pub fn read<T: DeserializeOwned + Default>(members: Map<String, Value>) -> T {
    serde_json::from_value(Value::Object(members)).unwrap_or_default()
}

/// Whether two optional JSON texts stand for the same value.
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

/// The compact text of a JSON value.
pub fn text<T: Serialize + ?Sized>(value: &T) -> String {
    // A `Value` has string keys and no failing `Serialize`, the two ways in which this can fail.
    serde_json::to_string(value).unwrap_or_default()
}
