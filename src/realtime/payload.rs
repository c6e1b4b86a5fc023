//! Validates what clients send.

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::packet::ClientEvent;
use crate::api::dto::requests::StreamMessageRequest;
use crate::app::NewMessage;
use crate::auth::identity::Credentials;
use crate::domain::id::parse_uuid;
use crate::domain::message::MAX_SENDER_NAME_CHARS;
use crate::json::{self, Field};

/// The events that clients send.
const EVENTS: [&str; 5] = ["join", "leave", "message", "1", "2"];

/// An event of a client, or why it cannot be parsed.
pub(super) type ReceivedEvent = Result<ClientEvent, String>;

/// The `auth` of a connecting socket.
#[derive(Debug, Default)]
pub(super) struct Handshake(Map<String, Value>);

impl From<Value> for Handshake {
    fn from(auth: Value) -> Self {
        match auth {
            Value::Object(auth) => Self(auth),
            _ => Self::default(),
        }
    }
}

impl Handshake {
    /// Returns the credentials, if there are any.
    pub(super) fn credentials(&self) -> Option<Credentials<'_>> {
        let text = |name| self.0.get(name).and_then(Value::as_str);
        let (key, token) = (text("apiKey"), text("token"));
        (key.is_some() || token.is_some())
            .then(|| Credentials::default().with_overrides(key, token))
    }

    /// Returns the id that the client gives itself, if any.
    pub(super) fn entity_id(&self) -> Result<Option<Uuid>, ()> {
        match self.0.get("entityId") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => parse_uuid(text).map(Some).ok_or(()),
            Some(_) => Err(()),
        }
    }
}

/// A command of a client. Rooms are session ids as sent, unchecked.
#[derive(Debug)]
pub(super) enum ClientCommand {
    /// Subscribe to a session.
    Join(String),
    /// Unsubscribe from a session.
    Leave(String),
    /// Send a message.
    Send(Box<SendCommand>),
}

/// A message to send.
#[derive(Debug)]
pub(super) struct SendCommand {
    pub(super) room: String,
    pub(super) sender_id: Option<String>,
    pub(super) sender_name: Option<String>,
    pub(super) message: NewMessage,
}

/// Returns whether an event is one that this server handles. All others are ignored.
pub(super) fn is_known(received: &ReceivedEvent) -> bool {
    let event = received.as_ref();
    event.map_or(true, |event| EVENTS.contains(&event.name.as_str()))
}

/// Parses an event. The error is for the client.
pub(super) fn parse(received: ReceivedEvent) -> Result<ClientCommand, String> {
    let event = received?;
    let data = json::from_js(event.data.as_bytes())
        .map_err(|error| format!("the event is not JSON: {error}"))?;
    command(&event.name, data)
}

fn command(event: &str, mut data: Value) -> Result<ClientCommand, String> {
    match event {
        "join" | "1" => Ok(ClientCommand::Join(room(&data)?)),
        "leave" => Ok(ClientCommand::Leave(room(&data)?)),
        "2" => send(data),
        _ => {
            let payload = data.get_mut("payload").map(Value::take).unwrap_or_default();
            match data.get("type").and_then(Value::as_f64) {
                Some(1.0) => Ok(ClientCommand::Join(room(&payload)?)),
                Some(2.0) => send(payload),
                _ => Err("message needs the type 1 (join) or 2 (send) and a payload".into()),
            }
        }
    }
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

fn send(payload: Value) -> Result<ClientCommand, String> {
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
    let message = message.validate(None);
    let sender_name = sent.sender_name.given().ok().flatten();
    Ok(ClientCommand::Send(Box::new(SendCommand {
        room,
        message: message.map_err(|invalid| invalid.to_string())?,
        sender_id: sent.sender_id.given().ok().flatten(),
        sender_name: sender_name.filter(|name| {
            !name.trim().is_empty() && name.chars().count() <= MAX_SENDER_NAME_CHARS
        }),
    })))
}

/// Returns the session's id as sent. A session is its own channel and room.
fn room(payload: &Value) -> Result<String, &'static str> {
    let mut names = ["channelId", "roomId"].iter();
    names
        .find_map(|name| payload.get(name)?.as_str())
        .map(str::to_owned)
        .ok_or("channelId or roomId must name a session")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::key::IdempotencyKey;

    #[test]
    fn invalid_payloads_are_refused_without_a_panic() {
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
    fn an_event_that_is_not_json_is_refused_with_the_position() {
        let event = |data: &str| {
            parse(Ok(ClientEvent {
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
    fn every_documented_form_of_a_join_is_accepted() {
        let payload = json!({"roomId": "r"});
        let wrapped = json!({"type": 1, "payload": {"channelId": "r", "entityId": "e"}});
        for (event, data) in [("join", &payload), ("1", &payload), ("message", &wrapped)] {
            assert!(
                matches!(command(event, data.clone()), Ok(ClientCommand::Join(it)) if it == "r"),
                "{event}"
            );
        }
    }

    #[test]
    fn a_message_is_validated_like_one_over_http() {
        let payload = json!({
            "channelId": "c", "senderId": "s", "senderName": " ", "message": "hi",
            "messageId": "m", "metadata": {"a": 1}, "attachments": null, "source": "x",
            "content": "of HTTP", "transport": [],
        });
        let Ok(ClientCommand::Send(message)) = command("2", payload) else {
            panic!("it is a message")
        };
        assert_eq!((message.room.as_str(), message.sender_name), ("c", None));
        let NewMessage {
            body,
            key,
            client_message_id,
        } = message.message;
        assert_eq!(body.content, "hi");
        assert_eq!(body.metadata.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(body.attachments, None);
        assert_eq!(key, None);
        let id = client_message_id.as_ref().map(IdempotencyKey::as_str);
        assert_eq!(id, Some("m"));
    }

    #[test]
    fn an_invalid_field_is_refused_with_the_message_of_http() {
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
