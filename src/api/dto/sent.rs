//! The response to a sent message.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::message::{AgentResponse, UserMessage};
use super::metadata::Metadata;
use super::schemas;
use super::session::SessionStatus;
use crate::domain::time::Timestamp;

// The oldest documented shape is the message itself, a later one has the rest beside it, and the
// latest has all of that in `data`.
/// The response to a message: one object for every documented shape.
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
    user_message: &'a UserMessage<'a>,
    /// The reply, with the transport `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_response: Option<&'a AgentResponse<'a>>,
    session_status: &'a SessionStatus,
    /// The same fields, for clients that unwrap `data`.
    data: SentData<'a>,
}

/// The parts of the response to a message.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct SentData<'a> {
    success: bool,
    user_message: &'a UserMessage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_response: Option<&'a AgentResponse<'a>>,
    session_status: &'a SessionStatus,
}

impl<'a> SentAnswer<'a> {
    pub(in crate::api) fn new(
        user_message: &'a UserMessage<'a>,
        agent_response: Option<&'a AgentResponse<'a>>,
        session_status: &'a SessionStatus,
    ) -> Self {
        Self {
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
        }
    }
}
