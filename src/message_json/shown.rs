//! The metadata of a message as clients and agents see it.

use std::ops::Deref;

use serde_json::{Map, Value, json};

use crate::domain::message::{Message, Role, TurnState};

/// Returns the metadata of a message. `of_session` is the session's metadata, the text of a JSON
/// object: a user's message inherits it. An agent's message has its thought and actions instead. The
/// server sets the session's id and the error of a failed turn.
#[must_use]
pub fn shown(of_session: &str, message: &Message<impl Deref<Target = str>>) -> Map<String, Value> {
    let own = object(message.body.metadata.as_deref());
    let mut metadata = match &message.role {
        Role::User { turn, .. } => {
            let mut metadata = object(Some(of_session));
            metadata.extend(own);
            metadata.shift_remove("agentError");
            if let TurnState::Failed(failure) = turn {
                let error = json!({ "code": &*failure.code, "message": &*failure.message });
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

fn object(text: Option<&str>) -> Map<String, Value> {
    match text {
        None | Some("{}") => Map::new(),
        Some(text) => serde_json::from_str(text).unwrap_or_default(),
    }
}
