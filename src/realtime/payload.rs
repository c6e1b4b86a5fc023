//! What clients send, read without trust.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::packet::Event;
use crate::domain::id::parse_uuid;
use crate::guard::identity::Credentials;
use crate::json;

/// The events that clients send.
const EVENTS: [&str; 5] = ["join", "leave", "message", "1", "2"];

/// An event of a client, or why it cannot be read.
pub(super) type Sent = Result<Event, String>;

/// The `auth` of a connecting socket.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    api_key: Option<String>,
    token: Option<String>,
    entity_id: Option<Value>,
}

impl From<Value> for Handshake {
    fn from(auth: Value) -> Self {
        let Value::Object(mut auth) = auth else {
            return Self::default();
        };
        Self {
            api_key: text(&auth, "apiKey"),
            token: text(&auth, "token"),
            entity_id: auth.remove("entityId"),
        }
    }
}

impl Handshake {
    /// The credentials, if there are any.
    pub(super) fn credentials(&self) -> Option<Credentials<'_>> {
        let (key, token) = (self.api_key.as_deref(), self.token.as_deref());
        (key.is_some() || token.is_some()).then(|| Credentials::default().or_rather(key, token))
    }

    /// Who connects, if they say so.
    pub(super) fn entity_id(&self) -> Result<Option<Uuid>, ()> {
        match &self.entity_id {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => parse_uuid(text).map(Some).ok_or(()),
            Some(_) => Err(()),
        }
    }
}

/// What a client asks for.
#[derive(Debug)]
pub(super) enum ClientCommand {
    /// To hear what happens in a session.
    Join {
        /// The session as the client names it.
        room: String,
    },
    /// To hear it no more.
    Leave {
        /// The session as the client names it.
        room: String,
    },
    /// To say something in a session.
    Say(Box<Message>),
}

/// A message to send.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) room: String,
    pub(super) sender_id: Option<String>,
    pub(super) sender_name: Option<String>,
    /// The fields of the same message over HTTP.
    pub(super) fields: Map<String, Value>,
}

/// Whether an event is one that clients send. All others concern nobody.
pub(super) fn is_known(sent: &Sent) -> bool {
    let event = sent.as_ref();
    event.map_or(true, |event| EVENTS.contains(&event.name.as_str()))
}

/// Reads what a client has sent; the error is what the client is told.
pub(super) fn read(sent: Sent) -> Result<ClientCommand, String> {
    let event = sent?;
    let data = json::from_js(event.data.as_bytes())
        .map_err(|error| format!("the event is not JSON: {error}"))?;
    Ok(command(&event.name, &data)?)
}

fn command(event: &str, data: &Value) -> Result<ClientCommand, &'static str> {
    match event {
        "join" | "1" => Ok(ClientCommand::Join { room: room(data)? }),
        "leave" => Ok(ClientCommand::Leave { room: room(data)? }),
        "2" => say(data),
        _ => {
            let kind = data.get("type").and_then(Value::as_f64);
            let payload = data.get("payload").unwrap_or(&Value::Null);
            match kind {
                Some(1.0) => Ok(ClientCommand::Join {
                    room: room(payload)?,
                }),
                Some(2.0) => say(payload),
                _ => Err("message needs the type 1 (join) or 2 (send) and a payload"),
            }
        }
    }
}

fn say(payload: &Value) -> Result<ClientCommand, &'static str> {
    let room = room(payload)?;
    let Some(payload) = payload.as_object() else {
        return Err("the payload must be an object");
    };
    let mut fields = Map::new();
    for (theirs, ours) in [
        ("message", "content"),
        ("messageId", "clientMessageId"),
        ("metadata", "metadata"),
        ("attachments", "attachments"),
    ] {
        if let Some(value) = payload.get(theirs) {
            fields.insert(ours.to_owned(), value.clone());
        }
    }
    Ok(ClientCommand::Say(Box::new(Message {
        room,
        sender_id: text(payload, "senderId"),
        sender_name: text(payload, "senderName").filter(|name| is_a_name(name)),
        fields,
    })))
}

/// A session is its own channel, so both names lead to it.
fn room(payload: &Value) -> Result<String, &'static str> {
    let named = ["channelId", "roomId"]
        .iter()
        .find_map(|name| payload.get(name)?.as_str());
    named
        .map(str::to_owned)
        .ok_or("channelId or roomId must name a session")
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// What is too long or blank is no name to show.
fn is_a_name(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= 200
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn anything_may_be_sent_and_nothing_panics() {
        let odd = [
            json!(null),
            json!(1),
            json!("x"),
            json!([]),
            json!([[[]]]),
            json!({}),
            json!({"type": null}),
            json!({"type": 2}),
            json!({"type": 2, "payload": []}),
            json!({"type": 1, "payload": {"roomId": 7}}),
            json!({"type": 1e300, "payload": {}}),
        ];
        for data in &odd {
            for event in EVENTS {
                assert!(command(event, data).is_err(), "{event} {data}");
            }
        }
    }

    #[test]
    fn an_event_that_is_no_json_says_where() {
        let event = |data: &str| {
            read(Ok(Event {
                name: "join".into(),
                data: data.into(),
            }))
        };
        assert!(event(r#"{"roomId":"r"}"#).is_ok());
        for data in ["1e400", &"[".repeat(1000)] {
            let error = event(data).unwrap_err();
            assert!(error.starts_with("the event is not JSON: "), "{error}");
        }
    }

    #[test]
    fn every_documented_way_of_joining_is_read() {
        let payload = json!({"roomId": "r"});
        let wrapped = json!({"type": 1, "payload": {"channelId": "r", "entityId": "e"}});
        for (event, data) in [("join", &payload), ("1", &payload), ("message", &wrapped)] {
            assert!(
                matches!(command(event, data), Ok(ClientCommand::Join { room }) if room == "r"),
                "{event}"
            );
        }
    }

    #[test]
    fn a_message_becomes_the_fields_of_the_same_message_over_http() {
        let payload = json!({
            "channelId": "c", "senderId": "s", "senderName": " ", "message": "hi",
            "messageId": "m", "metadata": {"a": 1}, "source": "x",
        });
        let Ok(ClientCommand::Say(message)) = command("2", &payload) else {
            panic!("it is a message")
        };
        assert_eq!(message.sender_name, None);
        assert_eq!(
            Value::Object(message.fields),
            json!({"content": "hi", "clientMessageId": "m", "metadata": {"a": 1}})
        );
    }
}
