//! The events of the two streams: what each carries, and an example of it.
//!
//! A stream is not JSON. Its schema is that of one event, as later versions of the format have it:
//! the event's name, and the text of JSON that is its data. Each event is a schema of its own, so
//! that generated clients have a type for it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::sample::{NOW, REPLY, agent_id, expired, message, reply, reply_id, session, session_id};
use crate::api::dto::{AgentResponse, SessionStatus, UserMessage};
use crate::api::sse::{ReplyChunk, ReplyError, SentEvent};
use crate::app::SessionState;
use crate::client_events::{self, WireEvent};
use crate::domain::message::{Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::time::Millis;
use crate::events::{Event, EventBus, SessionEvent};

/// The events of a stream.
pub(super) struct Stream {
    events: Vec<StreamEvent>,
    /// What an event's id is, where it has one.
    id: Option<&'static str>,
}

/// An event of a stream.
struct StreamEvent {
    /// What its example is called.
    example: &'static str,
    name: &'static str,
    /// The name of its schema.
    schema: String,
    /// The name of the schema of what it carries.
    payload_schema: String,
    id: Option<i64>,
    payload: Value,
}

/// Every stream, by the name of the schema of its events.
pub(super) fn all() -> [(&'static str, Stream); 2] {
    [
        ("ReplyStreamEvent", of_replies()),
        ("SessionStreamEvent", of_sessions()),
    ]
}

/// What is told of the reply to a message.
fn of_replies() -> Stream {
    let message = message();
    let sent = SentEvent::new(
        UserMessage::new(&session(), &message, Some("m-1")),
        SessionStatus::new(&session(), true, NOW),
    );
    let chunk = ReplyChunk::new(reply_id(), REPLY, 0);
    let failure = TurnFailure::agent_error();
    let events = vec![
        StreamEvent::of_reply("user_message", "SentUserMessage", &sent),
        StreamEvent::of_reply("chunk", "ReplyChunk", &chunk),
        StreamEvent::of_reply("done", "AgentResponse", &AgentResponse::from(&reply())),
        StreamEvent::of_reply("error", "ReplyError", &ReplyError::from(&failure)),
    ];
    Stream { events, id: None }
}

/// What is told of a session.
fn of_sessions() -> Stream {
    let state = SessionState {
        session: session(),
        is_idle: true,
        newest: Some(NOW),
    };
    let state = WireEvent {
        message_at: state.newest,
        ..client_events::state(&state, NOW)
    };
    let listener = EventBus::default().listener().id();
    let lived = life().into_iter().map(|(example, event)| {
        let happening = SessionEvent::new(session_id(), event);
        let event = client_events::told(&|_| Some("Eliza".into()), listener, &happening);
        StreamEvent::of_session(example, event)
    });
    let state = StreamEvent::of_session("state", state);
    Stream {
        events: [state].into_iter().chain(lived).collect(),
        id: Some(
            "Of a `messageBroadcast` its time in milliseconds of the epoch, of a `state` that of \
             the newest message, 0 where there is none. A client resumes after it",
        ),
    }
}

/// Everything that happens in a session, once or twice.
fn life() -> Vec<(&'static str, Event)> {
    let stored = |message: Message| Event::MessageStored {
        session: Arc::new(session()),
        message: Arc::new(message),
        echo: None,
    };
    let near_end = Session {
        expires_at: NOW + Millis(5 * 60_000),
        ..session()
    };
    vec![
        ("messageBroadcast", stored(message())),
        (
            "sessionRenewed",
            Event::Renewed {
                session: Arc::new(session()),
            },
        ),
        ("controlMessage", Event::Busy),
        (
            "messageStreamChunk",
            Event::ReplyChunk {
                reply_id: reply_id(),
                agent_id: agent_id(),
                index: 0,
                text: REPLY.into(),
            },
        ),
        ("messageBroadcast of a reply", stored(reply())),
        (
            "messageStreamError",
            Event::TurnFailed {
                reply_id: reply_id(),
                agent_id: agent_id(),
                failure: TurnFailure::agent_error(),
                partial: Some("Hello".into()),
            },
        ),
        ("messageComplete", Event::TurnEnded),
        ("controlMessage at the end", Event::Idle),
        (
            "sessionExpirationWarning",
            Event::NearExpiration {
                session: Arc::new(near_end),
                minutes_remaining: 5,
            },
        ),
        (
            "sessionExpired",
            Event::Expired {
                expired_at: expired().expires_at,
                has_turns: false,
            },
        ),
        ("channelDeleted", Event::Deleted),
    ]
}

impl StreamEvent {
    fn of_reply<T: Serialize>(name: &'static str, payload_schema: &str, payload: &T) -> Self {
        let words = name.split('_').map(capitalized).collect::<String>();
        Self {
            example: name,
            name,
            schema: format!("Reply{words}Event"),
            payload_schema: payload_schema.to_owned(),
            id: None,
            payload: json!(payload),
        }
    }

    /// What it carries is named as the event, but for `state`: many languages have a `State`.
    fn of_session(example: &'static str, event: WireEvent) -> Self {
        let payload_schema = match event.name {
            "state" => "SessionState".to_owned(),
            name => capitalized(name),
        };
        Self {
            example,
            name: event.name,
            schema: format!("{payload_schema}Event"),
            payload_schema,
            id: event.message_at.map(|at| at.0),
            payload: event.payload,
        }
    }

    fn schema(&self, id: Option<&str>) -> Value {
        let mut properties = Map::new();
        properties.insert(
            "event".into(),
            json!({ "type": "string", "const": self.name }),
        );
        if let (Some(description), Some(_)) = (id, self.id) {
            let id = json!({ "type": "string", "description": description });
            properties.insert("id".into(), id);
        }
        let payload = reference(&self.payload_schema);
        properties.insert(
            "data".into(),
            json!({
                "type": "string", "contentMediaType": "application/json",
                "contentSchema": payload,
            }),
        );
        let required: Vec<_> = properties.keys().cloned().collect();
        json!({
            "type": "object", "description": format!("The event `{}` of a stream", self.name),
            "required": required, "properties": properties,
        })
    }

    fn example(&self) -> Value {
        let mut example = Map::new();
        example.insert("event".into(), self.name.into());
        if let Some(id) = self.id {
            example.insert("id".into(), id.to_string().into());
        }
        example.insert("data".into(), self.payload.to_string().into());
        example.into()
    }
}

impl Stream {
    /// Adds a schema for each event, and one with a name of its own for any of them.
    pub(super) fn add_schemas(&self, name: &str, schemas: &mut Value) {
        let mut options: Vec<Value> = Vec::new();
        for event in &self.events {
            schemas[&event.schema] = event.schema(self.id);
            let option = reference(&event.schema);
            if !options.contains(&option) {
                options.push(option);
            }
        }
        schemas[name] = json!({ "description": "An event of the stream", "oneOf": options });
    }

    /// An example of each event, by its name.
    pub(super) fn examples(&self) -> Value {
        let events = self.events.iter();
        let examples = events.map(|event| (event.example, json!({ "value": event.example() })));
        examples.collect()
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One that is new here is not told yet of whoever reads the description.
    fn kind(event: &Event) -> usize {
        match event {
            Event::MessageStored { .. } => 0,
            Event::Renewed { .. } => 1,
            Event::Busy => 2,
            Event::Idle => 3,
            Event::ReplyChunk { .. } => 4,
            Event::TurnFailed { .. } => 5,
            Event::TurnEnded => 6,
            Event::NearExpiration { .. } => 7,
            Event::Expired { .. } => 8,
            Event::Deleted => 9,
        }
    }

    #[test]
    fn everything_that_happens_is_among_the_examples() {
        let shown: BTreeSet<_> = life().iter().map(|(_, event)| kind(event)).collect();
        assert_eq!(shown, (0..10).collect());
    }
}
