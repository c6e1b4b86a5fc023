//! The events of the streams, each with a schema and an example.
//!
//! A stream is not JSON. Its schema is that of one event, as in later versions of `OpenAPI`: the
//! event's name, and its data as JSON text. Each event has a schema, so that generated clients have
//! a type for it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::sample::{
    AGENT_NAME, NOW, REPLY, agent_id, expired, message, reply, reply_id, session, session_id,
    waiting_turn,
};
use crate::api::dto::{AgentResponse, SessionStatus, TurnCancelled, UserMessage, turn_call};
use crate::api::sse::{ReplyChunk, ReplyError, SentEvent};
use crate::app::{ClosedTurn, ReplyInProgress, SessionState};
use crate::client_events::{self, MessageActivity, WireEvent};
use crate::domain::activity::{Activity, ActivityKind, ActivityState};
use crate::domain::failure::FailureReason;
use crate::domain::message::{Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::time::Millis;
use crate::domain::waiting::ClosedReason;
use crate::events::{Event, EventBus, SessionEvent};

const ID_DESCRIPTION: &str = "Of a `messageBroadcast` its time in milliseconds since the epoch, of \
    a `state` that of the newest message, 0 if there is none. A client resumes after it";

pub(super) struct StreamEvent {
    example: &'static str,
    name: &'static str,
    schema: String,
    payload_schema: String,
    /// The id, and its description.
    id: Option<(String, &'static str)>,
    payload: Value,
}

/// Returns the streams, with the names of the schemas of their events.
pub(super) fn all() -> [(&'static str, Vec<StreamEvent>); 3] {
    [
        ("AgentStreamEvent", agent_events()),
        ("ReplyStreamEvent", reply_events()),
        ("SessionStreamEvent", session_events()),
    ]
}

fn reply_events() -> Vec<StreamEvent> {
    let message = message();
    let sent = SentEvent {
        message: UserMessage::new(&session(), &message, Some("m-1")),
        session_status: SessionStatus::new(&session(), true, NOW),
    };
    let chunk = ReplyChunk::new(reply_id(), REPLY, 0);
    let failure = TurnFailure::agent_error(FailureReason::Unavailable);
    let thinking = thinking();
    let activity = MessageActivity::new(reply_id(), agent_id(), session_id(), &thinking);
    vec![
        StreamEvent::of_reply("user_message", "SentUserMessage", &sent),
        StreamEvent::of_reply("activity", "MessageActivity", &activity),
        StreamEvent::of_reply("chunk", "ReplyChunk", &chunk),
        StreamEvent::of_reply("done", "AgentResponse", &AgentResponse::from(&reply())),
        StreamEvent::of_reply("error", "ReplyError", &ReplyError::from(&failure)),
    ]
}

fn session_events() -> Vec<StreamEvent> {
    let state = SessionState {
        session: session(),
        is_idle: true,
        newest: Some(NOW),
        partial: Some(ReplyInProgress {
            reply_id: reply_id(),
            text: REPLY.into(),
            index: 0,
        }),
    };
    let state = WireEvent {
        message_at: state.newest,
        ..client_events::state(&state, NOW)
    };
    let state = StreamEvent::of_session("state", state);
    let listener = EventBus::default().subscriber().id();
    let live = live_events().into_iter().map(|(example, event)| {
        let event = SessionEvent::new(session_id(), event);
        let event = client_events::event_with_names(&|_| Some("Eliza".into()), listener, &event);
        StreamEvent::of_session(example, event)
    });
    [state].into_iter().chain(live).collect()
}

/// Returns the events for an agent that runs elsewhere.
fn agent_events() -> Vec<StreamEvent> {
    let waiting = waiting_turn();
    let closed = ClosedTurn {
        turn_id: waiting.turn_id,
        session_id: session_id(),
        message_id: waiting.message.id,
        reason: ClosedReason::Answered,
    };
    vec![
        StreamEvent {
            example: "turn",
            name: "turn",
            schema: "AgentTurnEvent".into(),
            payload_schema: "AgentTurn".into(),
            id: Some((waiting.turn_id.to_string(), "The id of the turn")),
            payload: json!(turn_call(&waiting, AGENT_NAME)),
        },
        StreamEvent {
            example: "turnCancelled",
            name: "turnCancelled",
            schema: "TurnCancelledEvent".into(),
            payload_schema: "TurnCancelled".into(),
            id: None,
            payload: json!(TurnCancelled::from(closed)),
        },
    ]
}

fn thinking() -> Activity {
    Activity::thinking("The user greets me.".into())
}

fn tool() -> Activity {
    Activity::new(ActivityKind::Tool, Some("Looking up the weather".into()))
        .with_name("weather".into())
        .with_state(ActivityState::Started)
}

/// Returns each kind of event, with the name of its example.
fn live_events() -> Vec<(&'static str, Event)> {
    let stored = |message: Message| Event::MessageStored {
        session: Arc::new(session()),
        message: Arc::new(message),
        sent_by: None,
    };
    let renewed = Event::Renewed {
        session: Arc::new(session()),
    };
    let updated = Event::Updated {
        session: Arc::new(session()),
    };
    let chunk = Event::ReplyChunk {
        reply_id: reply_id(),
        agent_id: agent_id(),
        index: 0,
        text: REPLY.into(),
    };
    let activity = |activity| Event::Activity {
        reply_id: reply_id(),
        agent_id: agent_id(),
        activity: Arc::new(activity),
    };
    let failed = Event::TurnFailed {
        reply_id: reply_id(),
        agent_id: agent_id(),
        failure: TurnFailure::agent_error(FailureReason::Unavailable),
        partial: Some("Hello".into()),
    };
    let near_expiration = Event::NearExpiration {
        session: Arc::new(Session {
            expires_at: NOW + Millis(5 * 60_000),
            ..session()
        }),
        minutes_remaining: 5,
    };
    let expired = Event::Expired {
        expired_at: expired().expires_at,
        has_turns: false,
    };
    vec![
        ("messageBroadcast", stored(message())),
        ("sessionRenewed", renewed),
        ("sessionUpdated", updated),
        ("controlMessage", Event::Busy),
        ("messageActivity", activity(thinking())),
        ("messageActivity of a tool", activity(tool())),
        ("messageStreamChunk", chunk),
        ("messageBroadcast of a reply", stored(reply())),
        ("messageStreamError", failed),
        ("messageComplete", Event::TurnEnded),
        ("controlMessage at the end", Event::Idle),
        ("sessionExpirationWarning", near_expiration),
        ("sessionExpired", expired),
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

    /// The data's schema has the name of the event, except that of `state`: many languages have a
    /// `State`.
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
            id: event
                .message_at
                .map(|at| (at.0.to_string(), ID_DESCRIPTION)),
            payload: event.payload,
        }
    }

    fn schema(&self) -> Value {
        let mut required = vec!["event", "data"];
        let mut properties = json!({ "event": { "type": "string", "const": self.name } });
        if let Some((_, description)) = &self.id {
            required.insert(1, "id");
            properties["id"] = json!({ "type": "string", "description": description });
        }
        properties["data"] = json!({
            "type": "string", "contentMediaType": "application/json",
            "contentSchema": reference(&self.payload_schema),
        });
        json!({
            "type": "object", "description": format!("The event `{}` of a stream", self.name),
            "required": required, "properties": properties,
        })
    }

    fn example(&self) -> Value {
        let mut example = json!({ "event": self.name });
        if let Some((id, _)) = &self.id {
            example["id"] = id.as_str().into();
        }
        example["data"] = self.payload.to_string().into();
        example
    }
}

/// Adds a schema for each event, and one under `name` for any of them.
pub(super) fn add_schemas(name: &str, events: &[StreamEvent], schemas: &mut Value) {
    let mut options: Vec<Value> = Vec::new();
    for event in events {
        schemas[&event.schema] = event.schema();
        let option = reference(&event.schema);
        if !options.contains(&option) {
            options.push(option);
        }
    }
    schemas[name] = json!({ "description": "An event of the stream", "oneOf": options });
}

pub(super) fn examples(events: &[StreamEvent]) -> Value {
    let events = events.iter();
    let examples = events.map(|event| (event.example, json!({ "value": event.example() })));
    examples.collect()
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

    /// A new kind must be added here and to the examples.
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
            Event::Activity { .. } => 10,
            Event::Updated { .. } => 11,
        }
    }

    #[test]
    fn every_kind_of_event_has_an_example() {
        let shown: BTreeSet<_> = live_events().iter().map(|(_, event)| kind(event)).collect();
        assert_eq!(shown, (0..12).collect());
    }
}
