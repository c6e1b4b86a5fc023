//! What clients send, read without trust.

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::packet::Event;
use crate::api::dto::requests::StreamMessageRequest;
use crate::app::NewMessage;
use crate::auth::identity::Credentials;
use crate::domain::id::parse_uuid;
use crate::json::{self, Field};

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
    Say(Box<Say>),
}

/// A message to send.
#[derive(Debug)]
pub(super) struct Say {
    pub(super) room: String,
    pub(super) sender_id: Option<String>,
    pub(super) sender_name: Option<String>,
    pub(super) message: NewMessage,
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
    command(&event.name, data)
}

fn command(event: &str, mut data: Value) -> Result<ClientCommand, String> {
    match event {
        "join" | "1" => join(&data),
        "leave" => Ok(ClientCommand::Leave { room: room(&data)? }),
        "2" => say(data),
        _ => {
            let payload = data.get_mut("payload").map(Value::take).unwrap_or_default();
            match data.get("type").and_then(Value::as_f64) {
                Some(1.0) => join(&payload),
                Some(2.0) => say(payload),
                _ => Err("message needs the type 1 (join) or 2 (send) and a payload".into()),
            }
        }
    }
}

fn join(payload: &Value) -> Result<ClientCommand, String> {
    let room = room(payload)?;
    Ok(ClientCommand::Join { room })
}

/// A message as sockets send it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SocketMessage {
    sender_id: Field<String>,
    sender_name: Field<String>,
    message: Field<String>,
    message_id: Field<String>,
    metadata: Field<Map<String, Value>>,
    attachments: Field<Vec<Value>>,
}

fn say(payload: Value) -> Result<ClientCommand, String> {
    let room = room(&payload)?;
    let Value::Object(members) = payload else {
        return Err("the payload must be an object".into());
    };
    let sent: SocketMessage = json::read(members);
    let message = StreamMessageRequest {
        content: sent.message,
        metadata: sent.metadata,
        attachments: sent.attachments,
        client_message_id: sent.message_id,
    };
    let message = message
        .validate(None)
        .map_err(|invalid| invalid.to_string())?;
    let sender_name = sent.sender_name.given().ok().flatten();
    Ok(ClientCommand::Say(Box::new(Say {
        room,
        sender_id: sent.sender_id.given().ok().flatten(),
        sender_name: sender_name.filter(|name| is_a_name(name)),
        message,
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
    use crate::domain::key::IdempotencyKey;

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
                assert!(command(event, data.clone()).is_err(), "{event} {data}");
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
                matches!(command(event, data.clone()), Ok(ClientCommand::Join { room }) if room == "r"),
                "{event}"
            );
        }
    }

    #[test]
    fn a_message_is_that_of_a_send_over_http() {
        let payload = json!({
            "channelId": "c", "senderId": "s", "senderName": " ", "message": "hi",
            "messageId": "m", "metadata": {"a": 1}, "attachments": null, "source": "x",
            "content": "of HTTP", "transport": [],
        });
        let Ok(ClientCommand::Say(say)) = command("2", payload) else {
            panic!("it is a message")
        };
        assert_eq!((say.room.as_str(), say.sender_name), ("c", None));
        let NewMessage {
            body,
            key,
            client_message_id,
        } = say.message;
        assert_eq!(body.content, "hi");
        assert_eq!(body.metadata.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(body.attachments, None);
        assert_eq!(key, None);
        let id = client_message_id.as_ref().map(IdempotencyKey::as_str);
        assert_eq!(id, Some("m"));
    }

    #[test]
    fn a_wrong_field_is_refused_in_the_words_of_http() {
        for (field, value, said) in [
            ("message", json!(null), "content is required"),
            (
                "message",
                json!(7),
                "content must be a string, not a number",
            ),
            (
                "metadata",
                json!([]),
                "metadata must be an object, not an array",
            ),
            (
                "messageId",
                json!({}),
                "clientMessageId must be 1 to 255 visible ASCII characters",
            ),
        ] {
            let mut payload = json!({ "channelId": "c", "message": "hi" });
            payload[field] = value;
            assert_eq!(command("2", payload).unwrap_err(), said);
        }
    }
}
