//! Digests of requests. A key keeps the digest of what was sent under it, since what is stored may
//! change later.
//!
//! JSON is hashed in a canonical form, so that neither white space, the order of members, nor the
//! spelling of a number or of a string matters: members sorted by the bytes of their names, numbers
//! without a fraction as integers, all others as the shortest decimal of the double.

use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use crate::domain::continued::ContinueFrom;
use crate::domain::id::AgentId;
use crate::domain::key::RequestDigest;
use crate::domain::timeout::TimeoutOverrides;

/// The integers up to here are doubles too.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns the digest of a request to create a session. `metadata` is the text of a JSON object.
#[must_use]
pub fn create_digest(
    agent: AgentId,
    metadata: &str,
    timeout: &TimeoutOverrides,
    continue_from: Option<&ContinueFrom>,
) -> RequestDigest {
    let number = |number: Option<f64>| number.map_or("null".to_owned(), decimal);
    let source = match continue_from {
        None => "null".to_owned(),
        Some(source) => {
            let up_to = source.up_to.map(|id| id.to_string()).unwrap_or_default();
            format!("{}/{up_to}", source.session_id)
        }
    };
    // No field but the last can contain a line break.
    let fields = [
        "create 1".to_owned(),
        agent.to_string(),
        number(timeout.timeout_minutes),
        format!("{:?}", timeout.auto_renew),
        number(timeout.max_duration_minutes),
        number(timeout.warning_threshold_minutes),
        source,
        canonical(metadata),
    ];
    RequestDigest(Sha256::digest(fields.join("\n")).into())
}

/// Returns the digest of session metadata that came with a reply: the text of a JSON object.
#[must_use]
pub fn metadata_digest(metadata: &str) -> RequestDigest {
    RequestDigest(Sha256::digest(canonical(metadata)).into())
}

/// Returns the canonical form of a JSON text; a text that is not JSON unchanged.
fn canonical(text: &str) -> String {
    let Ok(value) = serde_json::from_str(text) else {
        return text.to_owned();
    };
    let mut canonical = String::with_capacity(text.len());
    write(&value, &mut canonical);
    canonical
}

/// Appends a value. The parser bounds its depth.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&number_text(number)),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, member) in members {
                text.push_str(&crate::json::text(name));
                text.push(':');
                write(member, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => decimal(float),
        _ => number.to_string(),
    }
}

/// Returns the text of a double, which is that of an integer if it is one.
fn decimal(float: f64) -> String {
    if float.fract() == 0.0 && float.abs() <= MAX_EXACT {
        // Also of -0.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "it is an integer of 54 bits"
        )]
        return (float as i64).to_string();
    }
    format!("{float:?}")
}
