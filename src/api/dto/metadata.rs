//! The metadata of messages.
//!
//! It is stored as JSON text and mostly passed on as text: parsing and writing it would cost more
//! than the rest of a message.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::id::SessionId;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::message_json::visible_metadata;

const EMPTY: &str = "{}";

/// The names of the server's own entries, and of the session's title, which messages do not inherit.
const RESERVED: [&str; 3] = ["\"sessionId\"", "\"agentError\"", "\"title\""];

/// A message's metadata. A user's message inherits its session's metadata.
#[derive(Debug, Clone)]
pub(super) enum Metadata {
    /// Text, which messages of a session may share.
    Text(Arc<RawValue>),
    /// A merged object.
    Map(Map<String, Value>),
}

/// The metadata of messages without metadata of their own. It is the same for all of a session.
pub(super) struct Inherited<'a> {
    session: &'a Session,
    of_users: Option<Arc<RawValue>>,
    of_agents: Option<Arc<RawValue>>,
}

impl Metadata {
    pub(super) fn new(session: &Session, message: &Message<impl Deref<Target = str>>) -> Self {
        Self::inheriting(&session.metadata, message)
    }

    /// Returns the metadata of an agent's message, which inherits nothing.
    pub(super) fn of_reply(reply: &Message) -> Self {
        Self::inheriting(EMPTY, reply)
    }

    fn inheriting(of_session: &str, message: &Message<impl Deref<Target = str>>) -> Self {
        let text = single_source(of_session, message);
        let text = text.and_then(|text| with_session(text, message.session_id));
        text.map_or_else(
            || Self::Map(visible_metadata(of_session, message)),
            Self::Text,
        )
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
        }
    }
}

impl<'a> Inherited<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self {
            session,
            of_users: with_session(&session.metadata, session.id),
            of_agents: with_session(EMPTY, session.id),
        }
    }

    /// Returns the metadata of a message of the session.
    pub(super) fn metadata(&self, message: &Message<impl Deref<Target = str>>) -> Metadata {
        let shared = match &message.role {
            _ if message.body.metadata.is_some() => None,
            Role::User {
                turn: TurnState::Failed(_),
                ..
            } => None,
            Role::User { .. } => self.of_users.clone(),
            Role::Agent {
                thought: None,
                actions: None,
                ..
            } => self.of_agents.clone(),
            Role::Agent { .. } => None,
        };
        shared.map_or_else(|| Metadata::new(self.session, message), Metadata::Text)
    }
}

/// Returns the stored text that is a message's metadata except the session's id, if one text is.
fn single_source<'a>(
    of_session: &'a str,
    message: &'a Message<impl Deref<Target = str>>,
) -> Option<&'a str> {
    let own = message.body.metadata.as_deref().unwrap_or(EMPTY);
    match &message.role {
        Role::User {
            turn: TurnState::Failed(_),
            ..
        } => None,
        Role::User { .. } if own == EMPTY => Some(of_session),
        Role::User { .. } => (of_session == EMPTY).then_some(own),
        Role::Agent {
            thought, actions, ..
        } => (thought.is_none() && actions.is_none()).then_some(own),
    }
}

/// Appends the session's id to the text of an object, unless that may contain a reserved name.
fn with_session(object: &str, id: SessionId) -> Option<Arc<RawValue>> {
    let inner = object.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    // An escape may hide a reserved name.
    if inner.contains('\\') || RESERVED.iter().any(|name| inner.contains(name)) {
        return None;
    }
    let comma = if inner.is_empty() { "" } else { "," };
    let text = format!("{{{inner}{comma}\"sessionId\":\"{id}\"}}");
    RawValue::from_string(text).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::openapi::sample;
    use crate::domain::failure::FailureReason;
    use crate::domain::message::TurnFailure;

    /// Small objects with special names and values, as text.
    fn objects() -> impl Strategy<Value = String> {
        let names = prop::sample::select(vec![
            "a",
            "b",
            "sessionId",
            "agentError",
            "title",
            "thought",
            "session\\u0049d",
            "a\\\"sessionId",
        ]);
        let values = prop::sample::select(vec![
            "1",
            "null",
            "\"x\"",
            "\"\\\"sessionId\\\"\"",
            "{\"sessionId\":2}",
            "[ 1, {\"b\": []} ]",
        ]);
        prop::collection::vec((names, values), 0..4).prop_map(|entries| {
            let entries = entries
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        })
    }

    fn messages() -> impl Strategy<Value = Message> {
        let which = prop::sample::select(vec![
            sample::message(),
            sample::reply(),
            sample::message_in(TurnState::Failed(TurnFailure::agent_error(
                FailureReason::Unavailable,
            ))),
        ]);
        (which, prop::option::of(objects()), any::<bool>()).prop_map(|(mut message, own, bare)| {
            message.body.metadata = own;
            if let (
                Role::Agent {
                    thought, actions, ..
                },
                true,
            ) = (&mut message.role, bare)
            {
                (*thought, *actions) = (None, None);
            }
            message
        })
    }

    proptest! {
        #[test]
        fn passed_on_text_equals_the_merged_map(
            inherited in objects(),
            message in messages(),
        ) {
            let session = Session { metadata: inherited, ..sample::session() };
            let expected = json!(visible_metadata(&session.metadata, &message));
            prop_assert_eq!(json!(Metadata::new(&session, &message)), expected.clone());
            prop_assert_eq!(json!(Inherited::new(&session).metadata(&message)), expected.clone());
            let text = serde_json::to_string(&Inherited::new(&session).metadata(&message)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        }
    }

    #[test]
    fn messages_without_metadata_share_one_text() {
        let session = sample::session();
        let inherited = Inherited::new(&session);
        for mut message in [sample::message(), sample::reply()] {
            message.body.metadata = None;
            if let Role::Agent {
                thought, actions, ..
            } = &mut message.role
            {
                (*thought, *actions) = (None, None);
            }
            let (Metadata::Text(one), Metadata::Text(other)) =
                (inherited.metadata(&message), inherited.metadata(&message))
            else {
                panic!("the text is not shared");
            };
            assert!(Arc::ptr_eq(&one, &other));
        }
    }
}
