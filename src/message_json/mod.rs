//! The parts of a message that are JSON: metadata, attachments and actions.
//!
//! They are stored as text. This module validates and serializes what clients and agents send, and
//! computes the metadata that they see.

#[cfg(test)]
mod tests;

use std::ops::Deref;

use serde_json::{Map, Value, json};

use crate::domain::message::{
    Body, InvalidMessage, Message, Role, TurnState, check_attachment_count, check_attachments,
    check_metadata,
};
use crate::json::{self, Field};

/// The members of a message's metadata that only the server sets.
const SERVER_SET: [&str; 2] = ["sessionId", "agentError"];

/// The member of a reply's metadata that marks the part of a cancelled reply.
const INTERRUPTED: &str = "interrupted";

/// The member of a session's metadata that is its title, which its messages do not inherit.
const TITLE: &str = "title";

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
    metadata_without(&SERVER_SET, sent)
}

/// Returns the text of a reply's metadata, as [`message_metadata`] does, also without
/// `interrupted`: only the server knows whether a client cancelled the reply.
///
/// # Errors
/// The metadata is not an object, or too large.
pub fn reply_metadata(sent: Field<Map<String, Value>>) -> Result<Option<String>, InvalidMessage> {
    metadata_without(&[&SERVER_SET[..], &[INTERRUPTED]].concat(), sent)
}

fn metadata_without(
    names: &[&str],
    sent: Field<Map<String, Value>>,
) -> Result<Option<String>, InvalidMessage> {
    let (mut fields, mut text) = metadata(sent)?;
    let before = fields.len();
    for name in names {
        fields.shift_remove(*name);
    }
    if fields.len() < before {
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
pub fn has_same_content(one: &Body, other: &Body) -> bool {
    one.content == other.content
        && json::is_same(one.metadata.as_deref(), other.metadata.as_deref())
        && json::is_same(one.attachments.as_deref(), other.attachments.as_deref())
}

/// Returns whether a reply is what was sent before its turn was cancelled.
#[must_use]
pub fn is_interrupted(reply: &Body) -> bool {
    let metadata = reply.metadata.as_deref();
    metadata.is_some_and(|metadata| json::is_true(metadata, INTERRUPTED))
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

/// Returns the metadata of a message. `of_session` is the session's metadata, the text of a JSON
/// object: a user's message inherits it, except the title. An agent's message has its thought and
/// actions instead. The server sets the session's id and the error of a failed turn.
#[must_use]
pub fn visible_metadata(
    of_session: &str,
    message: &Message<impl Deref<Target = str>>,
) -> Map<String, Value> {
    let own = message.body.metadata.as_deref().map(object);
    let own = own.unwrap_or_default();
    let mut metadata = match &message.role {
        Role::User { turn, .. } => {
            let mut metadata = object(of_session);
            metadata.shift_remove(TITLE);
            metadata.extend(own);
            metadata.shift_remove("agentError");
            if let TurnState::Failed(failure) = turn {
                let mut error = json!({ "code": &*failure.code, "message": &*failure.message });
                if let Some(reason) = failure.reason {
                    error["reason"] = reason.as_str().into();
                }
                metadata.insert("agentError".into(), error);
            }
            metadata
        }
        Role::Agent {
            thought, actions, ..
        } => {
            let mut metadata = own;
            if let Some(thought) = thought {
                metadata.insert("thought".into(), (&**thought).into());
            }
            let actions = actions.as_deref().map(serde_json::from_str);
            if let Some(Ok(actions)) = actions {
                metadata.insert("actions".into(), actions);
            }
            metadata
        }
    };
    metadata.insert("sessionId".into(), message.session_id.to_string().into());
    metadata
}

/// Returns the members of stored metadata: the text of a JSON object.
#[must_use]
pub fn object(text: &str) -> Map<String, Value> {
    if text == "{}" {
        return Map::new();
    }
    serde_json::from_str(text).unwrap_or_default()
}
