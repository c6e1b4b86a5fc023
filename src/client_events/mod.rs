//! Session events as clients receive them: the same names and payloads over Socket.IO and in the
//! event stream.

mod activity;
mod payload;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::activity::MessageActivity;
use self::payload::{Action, Source};
pub use self::payload::{
    ChannelDeleted, ControlMessage, MessageBroadcast, MessageComplete, MessageStreamChunk,
    MessageStreamError, Partial, SessionExpirationWarning, SessionExpired, SessionRenewed,
    SessionUpdated, State,
};
use crate::app::{App, SessionState};
use crate::domain::failure::FailureReason;
use crate::domain::id::AgentId;
use crate::domain::message::{Message, Role};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::events::{Event, SessionEvent, SubscriberId};
use crate::message_json;

/// An event with its name on the wire.
#[derive(Debug)]
pub struct WireEvent {
    /// The name.
    pub name: &'static str,
    /// The payload.
    pub payload: Value,
    /// The time of the message in the payload, if there is one.
    pub message_at: Option<Timestamp>,
}

/// Returns the name of an agent, if it exists.
pub type NameOf<'a> = &'a dyn Fn(AgentId) -> Option<String>;

/// Returns an event as a subscriber receives it.
#[must_use]
pub fn event(app: &App, subscriber: SubscriberId, event: &SessionEvent) -> WireEvent {
    event_with_names(&|agent| name_of(app, agent), subscriber, event)
}

/// Returns an event as a subscriber receives it, with agents' names from `name_of`.
#[must_use]
pub fn event_with_names(
    name_of: NameOf<'_>,
    subscriber: SubscriberId,
    event: &SessionEvent,
) -> WireEvent {
    let id = event.session_id.0;
    match &event.event {
        Event::MessageStored {
            session,
            message,
            sent_by,
        } => {
            let own = sent_by.as_ref().filter(|it| it.subscriber == subscriber);
            let client_message_id = own.map(|it| it.client_message_id.as_str());
            broadcast(name_of, session, message, client_message_id)
        }
        Event::Renewed { session } => WireEvent::new(
            "sessionRenewed",
            &SessionRenewed {
                session_id: session.id.0,
                expires_at: session.expires_at,
                renewal_count: session.renewal_count,
            },
        ),
        Event::Updated { session } => WireEvent::new(
            "sessionUpdated",
            &SessionUpdated {
                session_id: session.id.0,
                metadata: message_json::object(&session.metadata),
            },
        ),
        Event::Busy => control(id, Action::DisableInput),
        Event::Idle => control(id, Action::EnableInput),
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
                channel_id: id,
            },
        ),
        Event::Activity {
            reply_id,
            agent_id,
            activity,
        } => WireEvent::new(
            "messageActivity",
            &MessageActivity::new(*reply_id, *agent_id, event.session_id, activity),
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
                channel_id: id,
                agent_id: agent_id.0,
                error: &failure.message,
                reason: failure.reason.map(FailureReason::as_str),
                partial_text: partial.as_deref(),
            },
        ),
        Event::TurnEnded => WireEvent::new(
            "messageComplete",
            &MessageComplete {
                channel_id: id,
                session_id: id,
            },
        ),
        Event::NearExpiration {
            session,
            minutes_remaining,
        } => WireEvent::new(
            "sessionExpirationWarning",
            &SessionExpirationWarning {
                session_id: id,
                minutes_remaining: *minutes_remaining,
                expires_at: session.expires_at,
            },
        ),
        Event::Expired { expired_at, .. } => WireEvent::new(
            "sessionExpired",
            &SessionExpired {
                session_id: id,
                expired_at: *expired_at,
            },
        ),
        Event::Deleted => deleted(id),
    }
}

/// Returns a stored message as an event, for a replay.
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
    let mut broadcast = MessageBroadcast {
        id: message.id.0,
        sender_id: message.author_id,
        sender_name: String::new(),
        text: &message.body.content,
        channel_id: session.id.0,
        room_id: session.id.0,
        session_id: session.id.0,
        server_id: Uuid::nil(),
        message_server_id: Uuid::nil(),
        created_at: message.created_at.0,
        source: Source::User,
        thought: None,
        actions: None,
        attachments: parsed(message.body.attachments.as_deref()),
        in_reply_to: None,
        metadata: message_json::visible_metadata(&session.metadata, message),
        client_message_id,
    };
    match &message.role {
        Role::User { sender, .. } => {
            if sender.by_socket {
                broadcast.source = Source::SocketioClient;
            }
            let name = sender.name.clone().or_else(|| username(session));
            broadcast.sender_name = name.unwrap_or_else(|| "User".into());
        }
        Role::Agent {
            in_reply_to,
            thought,
            actions,
        } => {
            broadcast.source = Source::AgentResponse;
            broadcast.sender_name = name_of(session.agent_id).unwrap_or_else(|| "Agent".into());
            broadcast.thought = thought.as_deref();
            broadcast.actions = parsed(actions.as_deref());
            broadcast.in_reply_to = in_reply_to.map(|id| id.0);
        }
    }
    WireEvent {
        message_at: Some(message.created_at),
        ..WireEvent::new("messageBroadcast", &broadcast)
    }
}

/// Returns the state of a session: the event `state`, and the last four fields of `room_joined`.
#[must_use]
pub fn state(state: &SessionState, now: Timestamp) -> WireEvent {
    WireEvent::new(
        "state",
        &State {
            expires_at: state.session.expires_at,
            renewal_count: state.session.renewal_count,
            is_near_expiration: state.session.is_near_expiration(now),
            input_enabled: state.is_idle,
            partial: state.partial.as_ref().map(|partial| Partial {
                message_id: partial.reply_id.0,
                text: &partial.text,
                index: partial.index,
            }),
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

fn deleted(id: Uuid) -> WireEvent {
    let deleted = ChannelDeleted {
        channel_id: id,
        room_id: id,
        session_id: id,
    };
    WireEvent::new("channelDeleted", &deleted)
}

fn control(id: Uuid, action: Action) -> WireEvent {
    let control = ControlMessage {
        action,
        channel_id: id,
        room_id: id,
    };
    WireEvent::new("controlMessage", &control)
}

/// Returns the user's name from the session's metadata.
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
