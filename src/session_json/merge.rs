//! Merge patches of metadata (RFC 7396).

use serde_json::{Map, Value};

use crate::domain::message::{InvalidMessage, check_metadata};
use crate::json::{self, Field};

/// Returns the text of a merge patch; `None` if it is absent or null.
///
/// # Errors
/// It is not an object. `field` is its name.
pub fn metadata_patch(
    field: &str,
    sent: Field<Map<String, Value>>,
) -> Result<Option<String>, InvalidMessage> {
    let patch = sent.given().map_err(|found| {
        InvalidMessage::Metadata(format!("{field} must be an object, not {found}"))
    })?;
    Ok(patch.map(|patch| json::text(&patch)))
}

/// Returns the text of metadata after a merge patch; `None` if the patch changes nothing. Both are
/// texts of JSON objects.
///
/// # Errors
/// The result is too large.
pub fn merged_metadata(metadata: &str, patch: &str) -> Result<Option<String>, InvalidMessage> {
    let object = |text| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let before = object(metadata);
    let mut after = before.clone();
    merge(&mut after, object(patch));
    if after == before {
        return Ok(None);
    }
    let text = json::text(&after);
    check_metadata(text.len())?;
    Ok(Some(text))
}

/// Merges an object into another. The parser bounds the depth of both.
fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.shift_remove(&name)),
            Value::Object(patch) => {
                let member = target.entry(name).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    merge(member, patch);
                }
            }
            other => drop(target.insert(name, other)),
        }
    }
}
