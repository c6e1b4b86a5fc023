//! What happens in a session, as clients see it: the same names and payloads by Socket.IO and by
//! the event stream.

mod payload;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::payload::{Action, Source};
pub use self::payload::{
    ChannelDeleted, ControlMessage, MessageBroadcast, MessageComplete, MessageStreamChunk,
    MessageStreamError, SessionExpirationWarning, SessionExpired, SessionRenewed, State,
};
use crate::app::{App, SessionState};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::{Message, Role};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::events::{Event, ListenerId, SessionEvent};
use crate::message_json;

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

/// Finds the name of an agent, if it is there.
pub type NameOf<'a> = &'a dyn Fn(AgentId) -> Option<String>;

/// What happened, as the listener is told.
#[must_use]
pub fn event(app: &App, listener: ListenerId, happening: &SessionEvent) -> WireEvent {
    told(&|agent| name_of(app, agent), listener, happening)
}

/// The same, with the agents' names from wherever they are known.
#[must_use]
pub fn told(name_of: NameOf<'_>, listener: ListenerId, happening: &SessionEvent) -> WireEvent {
    let id = happening.session_id;
    match &happening.event {
        Event::MessageStored {
            session,
            message,
            echo,
        } => {
            let own = echo.as_ref().filter(|echo| echo.listener == listener);
            let client_message_id = own.map(|echo| echo.client_message_id.as_str());
            broadcast(name_of, session, message, client_message_id)
        }
        Event::Renewed { session } => WireEvent::new("sessionRenewed", &renewed(session)),
        Event::Busy => WireEvent::new("controlMessage", &control(id, Action::DisableInput)),
        Event::Idle => WireEvent::new("controlMessage", &control(id, Action::EnableInput)),
        Event::ReplyChunk {
            reply_id,
            agent_id,
            index,
            text,
        } => WireEvent::new(
            "messageStreamChunk",
            &MessageStreamChunk {
                message_id: reply_id.0,
                chunk: text,
                index: *index,
                agent_id: agent_id.0,
                channel_id: id.0,
            },
        ),
        Event::TurnFailed {
            reply_id,
            agent_id,
            failure,
            partial,
        } => WireEvent::new(
            "messageStreamError",
            &MessageStreamError {
                message_id: reply_id.0,
                channel_id: id.0,
                agent_id: agent_id.0,
                error: &failure.message,
                partial_text: partial.as_deref(),
            },
        ),
        Event::TurnEnded => WireEvent::new(
            "messageComplete",
            &MessageComplete {
                channel_id: id.0,
                session_id: id.0,
            },
        ),
        Event::NearExpiration {
            session,
            minutes_remaining,
        } => WireEvent::new(
            "sessionExpirationWarning",
            &SessionExpirationWarning {
                session_id: id.0,
                minutes_remaining: *minutes_remaining,
                expires_at: session.expires_at,
            },
        ),
        Event::Expired { expired_at, .. } => WireEvent::new(
            "sessionExpired",
            &SessionExpired {
                session_id: id.0,
                expired_at: *expired_at,
            },
        ),
        Event::Deleted => WireEvent::new(
            "channelDeleted",
            &ChannelDeleted {
                channel_id: id.0,
                room_id: id.0,
                session_id: id.0,
            },
        ),
    }
}

/// A stored message, replayed.
#[must_use]
pub fn message_broadcast(app: &App, session: &Session, message: &Message) -> WireEvent {
    broadcast(&|agent| name_of(app, agent), session, message, None)
}

fn broadcast(
    name_of: NameOf<'_>,
    session: &Session,
    message: &Message,
    client_message_id: Option<&str>,
) -> WireEvent {
    let (sender_name, source, thought, actions, in_reply_to) = match &message.role {
        Role::User { sender, .. } => {
            let name = sender.name.clone().or_else(|| username(session));
            let source = if sender.by_socket {
                Source::SocketioClient
            } else {
                Source::User
            };
            let name = name.unwrap_or_else(|| "User".into());
            (name, source, None, None, None)
        }
        Role::Agent {
            in_reply_to,
            thought,
            actions,
        } => {
            let name = name_of(session.agent_id);
            (
                name.unwrap_or_else(|| "Agent".into()),
                Source::AgentResponse,
                thought.as_deref(),
                parsed(actions.as_deref()),
                *in_reply_to,
            )
        }
    };
    let broadcast = MessageBroadcast {
        id: message.id.0,
        sender_id: message.author_id,
        sender_name: &sender_name,
        text: &message.body.content,
        channel_id: session.id.0,
        room_id: session.id.0,
        session_id: session.id.0,
        server_id: Uuid::nil(),
        message_server_id: Uuid::nil(),
        created_at: message.created_at.0,
        source,
        thought,
        actions,
        attachments: parsed(message.body.attachments.as_deref()),
        in_reply_to: in_reply_to.map(|id| id.0),
        metadata: message_json::shown(&session.metadata, message),
        client_message_id,
    };
    WireEvent {
        message_at: Some(message.created_at),
        ..WireEvent::new("messageBroadcast", &broadcast)
    }
}

/// What one who resumes has to know: the last four fields of `room_joined`.
#[must_use]
pub fn state(state: &SessionState, now: Timestamp) -> WireEvent {
    WireEvent::new(
        "state",
        &State {
            expires_at: state.session.expires_at,
            renewal_count: state.session.renewal_count,
            is_near_expiration: state.session.is_near_expiration(now),
            input_enabled: state.is_idle,
        },
    )
}

impl WireEvent {
    fn new<T: Serialize>(name: &'static str, payload: &T) -> Self {
        Self {
            name,
            payload: json!(payload),
            message_at: None,
        }
    }
}

fn name_of(app: &App, agent: AgentId) -> Option<String> {
    let agent = app.agents().get(agent)?;
    Some(agent.character.name.clone())
}

fn renewed(session: &Session) -> SessionRenewed {
    SessionRenewed {
        session_id: session.id.0,
        expires_at: session.expires_at,
        renewal_count: session.renewal_count,
    }
}

fn control(id: SessionId, action: Action) -> ControlMessage {
    ControlMessage {
        action,
        channel_id: id.0,
        room_id: id.0,
    }
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
