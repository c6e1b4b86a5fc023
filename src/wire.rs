//! What happens in a session, as clients see it: the same names and payloads by Socket.IO and by
//! the event stream.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{App, SessionState};
use crate::domain::id::SessionId;
use crate::domain::message::{Message, Role};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::events::{Event, Happening, ListenerId};

/// An event by its name on the wire.
#[derive(Debug)]
pub struct WireEvent {
    /// Its name.
    pub name: &'static str,
    /// Its payload.
    pub payload: Value,
    /// The time of the message that it carries, if it carries one.
    pub message_at: Option<Timestamp>,
}

/// A stored message.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageBroadcast<'a> {
    id: String,
    sender_id: Uuid,
    sender_name: &'a str,
    text: &'a str,
    channel_id: SessionId,
    room_id: SessionId,
    session_id: SessionId,
    server_id: Uuid,
    message_server_id: Uuid,
    created_at: i64,
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachments: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

/// What happened, as the listener is told.
#[must_use]
pub fn event(app: &App, listener: ListenerId, happening: &Happening) -> WireEvent {
    let id = happening.session_id;
    let (name, payload) = match &happening.event {
        Event::MessageStored {
            session,
            message,
            echo,
        } => {
            let own = echo.as_ref().filter(|echo| echo.listener == listener);
            let client_message_id = own.map(|echo| echo.client_message_id.as_str());
            return message_broadcast(app, session, message, client_message_id);
        }
        Event::Renewed { session } => ("sessionRenewed", renewed(session)),
        Event::Busy => ("controlMessage", control(id, "disable_input")),
        Event::Idle => ("controlMessage", control(id, "enable_input")),
        Event::ReplyChunk {
            reply_id,
            agent_id,
            index,
            text,
        } => (
            "messageStreamChunk",
            json!({
                "messageId": reply_id, "chunk": **text, "index": index, "agentId": agent_id,
                "channelId": id,
            }),
        ),
        Event::TurnFailed {
            reply_id,
            agent_id,
            failure,
            partial,
        } => {
            let mut payload = json!({
                "messageId": reply_id, "channelId": id, "agentId": agent_id,
                "error": failure.message,
            });
            if let (Some(payload), Some(partial)) = (payload.as_object_mut(), partial) {
                payload.insert("partialText".into(), partial.clone().into());
            }
            ("messageStreamError", payload)
        }
        Event::TurnEnded => (
            "messageComplete",
            json!({ "channelId": id, "sessionId": id }),
        ),
        Event::NearExpiration {
            session,
            minutes_remaining,
        } => (
            "sessionExpirationWarning",
            json!({
                "sessionId": id, "minutesRemaining": minutes_remaining,
                "expiresAt": session.expires_at,
            }),
        ),
        Event::Expired { expired_at, .. } => (
            "sessionExpired",
            json!({ "sessionId": id, "expiredAt": expired_at }),
        ),
        Event::Deleted => (
            "channelDeleted",
            json!({ "channelId": id, "roomId": id, "sessionId": id }),
        ),
    };
    WireEvent {
        name,
        payload,
        message_at: None,
    }
}

/// A stored message, live or replayed.
#[must_use]
pub fn message_broadcast(
    app: &App,
    session: &Session,
    message: &Message,
    client_message_id: Option<&str>,
) -> WireEvent {
    let agent = app.agents().get(session.agent_id);
    let username = username(session);
    let (sender_name, source, thought, actions, in_reply_to) = match &message.role {
        Role::User { sender, .. } => {
            let name = sender
                .name
                .as_deref()
                .or(username.as_deref())
                .unwrap_or("User");
            let source = if sender.by_socket {
                "socketio_client"
            } else {
                "user"
            };
            (name, source, None, None, None)
        }
        Role::Agent {
            in_reply_to,
            thought,
            actions,
        } => {
            let name = agent
                .as_ref()
                .map_or("Agent", |agent| &agent.character.name);
            (
                name,
                "agent_response",
                thought.as_deref(),
                parsed(actions.as_deref()),
                *in_reply_to,
            )
        }
    };
    let broadcast = MessageBroadcast {
        id: message.id.to_string(),
        sender_id: message.author_id,
        sender_name,
        text: &message.body.content,
        channel_id: session.id,
        room_id: session.id,
        session_id: session.id,
        server_id: Uuid::nil(),
        message_server_id: Uuid::nil(),
        created_at: message.created_at.0,
        source,
        thought,
        actions,
        attachments: parsed(message.body.attachments.as_deref()),
        in_reply_to: in_reply_to.map(|id| id.to_string()),
        client_message_id,
    };
    WireEvent {
        name: "messageBroadcast",
        payload: json!(broadcast),
        message_at: Some(message.created_at),
    }
}

/// What one who resumes has to know: the last four fields of `room_joined`.
#[must_use]
pub fn state(state: &SessionState, now: Timestamp) -> Value {
    json!({
        "expiresAt": state.session.expires_at,
        "renewalCount": state.session.renewal_count,
        "isNearExpiration": state.session.is_near_expiration(now),
        "inputEnabled": state.is_idle,
    })
}

fn renewed(session: &Session) -> Value {
    json!({
        "sessionId": session.id,
        "expiresAt": session.expires_at,
        "renewalCount": session.renewal_count,
    })
}

fn control(id: SessionId, action: &str) -> Value {
    json!({ "action": action, "channelId": id, "roomId": id })
}

fn username(session: &Session) -> Option<String> {
    if session.metadata == "{}" {
        return None;
    }
    let metadata: Value = serde_json::from_str(&session.metadata).ok()?;
    metadata.get("username")?.as_str().map(str::to_owned)
}

fn parsed(text: Option<&str>) -> Option<Value> {
    text.and_then(|text| serde_json::from_str(text).ok())
}
