//! The answer to a message that was sent.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::message::{AgentResponse, UserMessage};
use super::metadata::Metadata;
use super::schemas;
use super::session::SessionStatus;
use crate::app::SentMessage;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;

/// What is told of a message that was sent. It goes out as a [`SentAnswer`].
pub(in crate::api) struct Sent<'a> {
    user_message: UserMessage<'a>,
    agent_response: Option<AgentResponse<'a>>,
    session_status: SessionStatus,
}

// The oldest documented shape is the message itself, a later one has the rest beside it, and the
// latest has all of that below `data`.
/// The answer to a message: one object for every documented shape.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schema(as = SentMessage)]
pub(in crate::api) struct SentAnswer<'a> {
    success: bool,
    /// The message's id.
    id: Uuid,
    content: &'a str,
    author_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = schemas::MessageMetadata)]
    metadata: &'a Metadata,
    #[schema(value_type = UserMessage<'a>)]
    user_message: &'a UserMessage<'a>,
    /// The reply, where the transport is `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AgentResponse<'a>>)]
    agent_response: Option<&'a AgentResponse<'a>>,
    #[schema(value_type = SessionStatus)]
    session_status: &'a SessionStatus,
    /// The same once more.
    data: SentData<'a>,
}

/// The parts of the answer to a message.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct SentData<'a> {
    success: bool,
    #[schema(value_type = UserMessage<'a>)]
    user_message: &'a UserMessage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AgentResponse<'a>>)]
    agent_response: Option<&'a AgentResponse<'a>>,
    #[schema(value_type = SessionStatus)]
    session_status: &'a SessionStatus,
}

impl<'a> Sent<'a> {
    /// The answer to a message, with its reply where that is waited for.
    pub(in crate::api) fn new(
        message: &'a SentMessage,
        reply: Option<&'a Message>,
        now: Timestamp,
    ) -> Self {
        Self::of(user_message(message), reply, session_status(message, now))
    }

    /// The same of its parts.
    pub(in crate::api) fn of(
        user_message: UserMessage<'a>,
        reply: Option<&'a Message>,
        session_status: SessionStatus,
    ) -> Self {
        Self {
            user_message,
            agent_response: reply.map(AgentResponse::from),
            session_status,
        }
    }
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            user_message,
            agent_response,
            session_status,
        } = self;
        let agent_response = agent_response.as_ref();
        let answer = SentAnswer {
            success: true,
            id: user_message.id,
            content: user_message.content,
            author_id: user_message.author_id,
            created_at: user_message.created_at,
            metadata: &user_message.metadata,
            user_message,
            agent_response,
            session_status,
            data: SentData {
                success: true,
                user_message,
                agent_response,
                session_status,
            },
        };
        answer.serialize(serializer)
    }
}

/// The user's message of a send.
pub(in crate::api) fn user_message(message: &SentMessage) -> UserMessage<'_> {
    let client_message_id = message.client_message_id.as_deref();
    UserMessage::new(
        &message.sent.session,
        &message.sent.message,
        client_message_id,
    )
}

/// The state of the session after a send.
pub(in crate::api) fn session_status(message: &SentMessage, now: Timestamp) -> SessionStatus {
    SessionStatus::new(&message.sent.session, message.sent.renewed, now)
}
