//! What a message carries besides its text, as clients see it.
//!
//! It is stored as JSON text, and mostly goes out as such: parsing it into a map and writing that
//! again would cost more than the rest of a message.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::id::SessionId;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::message_json::shown;

const NONE: &str = "{}";

/// What the server itself says in there; a client's own entry of that name is not passed on.
const RESERVED: [&str; 2] = ["\"sessionId\"", "\"agentError\""];

/// A message's metadata. A user's message inherits its session's; the session's id is always the
/// server's own.
#[derive(Debug, Clone)]
pub(super) enum Metadata {
    /// Text, which messages of a session may share.
    Text(Arc<RawValue>),
    /// What had to be put together.
    Map(Map<String, Value>),
}

/// The metadata of messages that have none of their own, which is the same for all of a session.
pub(super) struct Inherited<'a> {
    session: &'a Session,
    of_users: Option<Arc<RawValue>>,
    of_agents: Option<Arc<RawValue>>,
}

impl Metadata {
    /// That of one message.
    pub(super) fn of(session: &Session, message: &Message<impl Deref<Target = str>>) -> Self {
        Self::inheriting(&session.metadata, message)
    }

    /// That of an agent's message, which inherits nothing.
    pub(super) fn of_reply(reply: &Message) -> Self {
        Self::inheriting(NONE, reply)
    }

    fn inheriting(of_session: &str, message: &Message<impl Deref<Target = str>>) -> Self {
        let text = stored(of_session, message);
        let text = text.and_then(|text| with_session(text, message.session_id));
        text.map_or_else(|| Self::Map(shown(of_session, message)), Self::Text)
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
            of_agents: with_session(NONE, session.id),
        }
    }

    /// That of one of the session's messages.
    pub(super) fn of(&self, message: &Message<impl Deref<Target = str>>) -> Metadata {
        let shared = match &message.role {
            _ if message.body.metadata.is_some() => &None,
            Role::User { turn, .. } if !matches!(turn, TurnState::Failed(_)) => &self.of_users,
            Role::Agent {
                thought: None,
                actions: None,
                ..
            } => &self.of_agents,
            _ => &None,
        };
        let shared = shared.as_ref().map(Arc::clone);
        shared.map_or_else(|| Metadata::of(self.session, message), Metadata::Text)
    }
}

/// The one stored text that is all of a message's metadata but for the session's id, if there is
/// one.
fn stored<'a>(
    of_session: &'a str,
    message: &'a Message<impl Deref<Target = str>>,
) -> Option<&'a str> {
    let own = message.body.metadata.as_deref().unwrap_or(NONE);
    match &message.role {
        Role::User {
            turn: TurnState::Failed(_),
            ..
        } => None,
        Role::User { .. } if own == NONE => Some(of_session),
        Role::User { .. } => (of_session == NONE).then_some(own),
        Role::Agent {
            thought, actions, ..
        } => (thought.is_none() && actions.is_none()).then_some(own),
    }
}

/// The text of an object with the session's id behind it; none where that may not be all.
fn with_session(object: &str, id: SessionId) -> Option<Arc<RawValue>> {
    let inner = object.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    // A name with an escape in it could be one of these too.
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

    /// Small objects that need care, as texts.
    fn objects() -> impl Strategy<Value = String> {
        let names = prop::sample::select(vec![
            "a",
            "b",
            "sessionId",
            "agentError",
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
            sample::unanswered(crate::domain::message::TurnFailure::agent_error()),
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
        fn text_that_is_passed_on_says_what_a_map_would_say(
            inherited in objects(),
            message in messages(),
        ) {
            let session = Session { metadata: inherited, ..sample::session() };
            let expected = json!(shown(&session.metadata, &message));
            prop_assert_eq!(json!(Metadata::of(&session, &message)), expected.clone());
            prop_assert_eq!(json!(Inherited::new(&session).of(&message)), expected.clone());
            let text = serde_json::to_string(&Inherited::new(&session).of(&message)).unwrap();
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
                (inherited.of(&message), inherited.of(&message))
            else {
                panic!("it is put together anew");
            };
            assert!(Arc::ptr_eq(&one, &other));
        }
    }
}
