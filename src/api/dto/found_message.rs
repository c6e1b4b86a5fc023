//! The result of a search of messages.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::message::MessageInfo;
use super::metadata::Metadata;
use super::search_cursor::search_cursor;
use crate::app::{FoundMessage, FoundMessages};
use crate::domain::search::MessageFilter;
use crate::domain::time::Timestamp;

/// A page of found messages.
// Without `success`, so that the published client returns the whole object.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct FoundMessageList<'a> {
    /// Sessions newest first by id, and within a session the newest message first.
    messages: Vec<FoundMessageInfo<'a>>,
    /// Whether the search has reached its end.
    complete: bool,
    /// The `cursor` of the next page; absent if the search is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A found message.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundMessageInfo<'a> {
    #[serde(flatten)]
    message: MessageInfo<'a>,
    /// The session.
    channel_id: Uuid,
    session_id: Uuid,
    /// The session's agent.
    agent_id: Uuid,
    /// The session's user.
    user_id: Uuid,
    /// The same as `createdAt`.
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    updated_at: Timestamp,
}

impl<'a> FoundMessageList<'a> {
    pub(in crate::api) fn new(page: &'a FoundMessages, filter: &MessageFilter) -> Self {
        Self {
            messages: page.messages.iter().map(FoundMessageInfo::from).collect(),
            complete: page.next.is_none(),
            next_cursor: page.next.map(|position| search_cursor(position, filter)),
        }
    }
}

impl<'a> From<&'a FoundMessage> for FoundMessageInfo<'a> {
    fn from(found: &'a FoundMessage) -> Self {
        let (session, message) = (&found.session, &found.message);
        Self {
            message: MessageInfo::new(message, Metadata::new(session, message)),
            channel_id: session.id.0,
            session_id: session.id.0,
            agent_id: session.agent_id.0,
            user_id: session.user_id.0,
            updated_at: message.created_at,
        }
    }
}
