//! A turn as code that runs elsewhere receives it: in the call of a webhook, and in the events and
//! pages of an agent's work.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::History;
use crate::json::raw_object;
use crate::message_json;

/// A user's message that waits for the agent's reply.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentTurn)]
pub struct TurnCall<'a> {
    /// The same in each attempt.
    #[schema(value_type = String, format = Uuid)]
    turn_id: TurnId,
    #[schema(value_type = String, format = Uuid)]
    session_id: SessionId,
    #[schema(value_type = String, format = Uuid)]
    agent_id: AgentId,
    #[schema(value_type = String, format = Uuid)]
    user_id: UserId,
    agent: CalledAgent<'a>,
    session: CalledSession<'a>,
    message: CalledMessage<'a>,
    /// The messages before it, oldest first, as many as the agent's `historyMessages` allows.
    history: Vec<EarlierMessage<'a>>,
    /// When the time of the turn is over. A later reply is not stored as its reply.
    #[schema(value_type = String, format = DateTime)]
    deadline: Timestamp,
}

/// The agent that replies.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AgentTurnAgent)]
struct CalledAgent<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: AgentId,
    name: &'a str,
}

/// The session of the message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentTurnSession)]
struct CalledSession<'a> {
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The session is expired from this instant on, unless it is renewed.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The client's own data.
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
}

/// The message to reply to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentTurnMessage)]
struct CalledMessage<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    content: &'a str,
    /// That of the session, then the message's own.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[schema(value_type = Vec<Object>)]
    attachments: Value,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A message of the conversation so far.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentTurnHistory)]
struct EarlierMessage<'a> {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    /// `user` or `agent`.
    role: &'static str,
    content: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> TurnCall<'a> {
    /// Returns a turn as its agent receives it.
    #[must_use]
    pub fn new(
        turn_id: TurnId,
        agent_name: &'a str,
        session: &'a Session,
        message: &'a Message,
        history: &'a History,
        deadline: Timestamp,
    ) -> Self {
        let attachments = message.body.attachments.as_deref();
        let attachments = attachments.and_then(|text| serde_json::from_str(text).ok());
        Self {
            turn_id,
            session_id: session.id,
            agent_id: session.agent_id,
            user_id: session.user_id,
            agent: CalledAgent {
                id: session.agent_id,
                name: agent_name,
            },
            session: CalledSession {
                created_at: session.created_at,
                expires_at: session.expires_at,
                metadata: raw_object(&session.metadata),
            },
            message: CalledMessage {
                id: message.id,
                content: &message.body.content,
                metadata: message_json::visible_metadata(&session.metadata, message),
                attachments: attachments.unwrap_or_else(|| Value::Array(Vec::new())),
                created_at: message.created_at,
            },
            history: history.messages().iter().map(EarlierMessage::new).collect(),
            deadline,
        }
    }
}

impl<'a> EarlierMessage<'a> {
    fn new(message: &'a Message) -> Self {
        Self {
            id: message.id,
            role: if message.is_agent() { "agent" } else { "user" },
            content: &message.body.content,
            created_at: message.created_at,
        }
    }
}
