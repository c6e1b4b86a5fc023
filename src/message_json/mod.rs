//! The parts of a message that are JSON: metadata, attachments and actions.
//!
//! They are stored as text. This module validates and serializes what clients and agents send, and
//! computes the metadata that they see.

mod shown;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use self::shown::shown;
use crate::domain::message::{
    Body, InvalidMessage, check_attachment_count, check_attachments, check_metadata,
};
use crate::json::{self, Field};

/// The members of a message's metadata that only the server sets.
const SERVER_SET: [&str; 2] = ["sessionId", "agentError"];

/// Returns the text of a session's metadata; an empty object if it is absent or null.
///
/// # Errors
/// The metadata is not an object, or too large.
pub fn session_metadata(sent: Field<Map<String, Value>>) -> Result<String, InvalidMessage> {
    Ok(metadata(sent)?.1)
}

/// Returns the text of a message's own metadata without the members that only the server sets
/// (`sessionId`, `agentError`); `None` if nothing is left.
///
/// # Errors
/// The metadata is not an object, or too large.
pub fn message_metadata(sent: Field<Map<String, Value>>) -> Result<Option<String>, InvalidMessage> {
    let (mut fields, mut text) = metadata(sent)?;
    let removed = SERVER_SET.map(|name| fields.shift_remove(name));
    if removed.iter().any(Option::is_some) {
        text = json::text(&fields);
    }
    Ok((!fields.is_empty()).then_some(text))
}

/// Returns the text of a message's attachments; `None` if there are none.
///
/// # Errors
/// They are not an array of at most ten objects with a `type` and a `url`, or too large.
pub fn attachments(sent: Field<Vec<Value>>) -> Result<Option<String>, InvalidMessage> {
    let list = sent.given().map_err(|found| {
        InvalidMessage::attachments(format!("attachments must be an array, not {found}"))
    })?;
    let list = list.unwrap_or_default();
    check_attachment_count(list.len())?;
    for (index, attachment) in list.iter().enumerate() {
        check_attachment(index, attachment)?;
    }
    let text = json::text(&list);
    check_attachments(text.len())?;
    Ok((!list.is_empty()).then_some(text))
}

/// Returns whether two bodies have the same content, however their JSON is formatted.
#[must_use]
pub fn says_the_same(one: &Body, other: &Body) -> bool {
    one.content == other.content
        && json::is_same(one.metadata.as_deref(), other.metadata.as_deref())
        && json::is_same(one.attachments.as_deref(), other.attachments.as_deref())
}

/// Returns the members and their text, after checking its length.
fn metadata(
    sent: Field<Map<String, Value>>,
) -> Result<(Map<String, Value>, String), InvalidMessage> {
    let fields = sent.given().map_err(|found| {
        InvalidMessage::Metadata(format!("metadata must be an object, not {found}"))
    })?;
    let fields = fields.unwrap_or_default();
    let text = json::text(&fields);
    check_metadata(text.len())?;
    Ok((fields, text))
}

fn check_attachment(index: usize, attachment: &Value) -> Result<(), InvalidMessage> {
    let Value::Object(fields) = attachment else {
        let found = json::kind(attachment);
        let reason = format!("attachments[{index}] must be an object, not {found}");
        return Err(InvalidMessage::attachments(reason));
    };
    for name in ["type", "url"] {
        let text = fields.get(name).and_then(Value::as_str);
        if text.is_none_or(str::is_empty) {
            let reason = format!("attachments[{index}].{name} must be a non-empty string");
            return Err(InvalidMessage::attachments(reason));
        }
    }
    Ok(())
}
