//! Messages.

use std::ops::Deref;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::metadata::{Inherited, Metadata};
use super::schemas;
use crate::app::{Page, SentMessage};
use crate::domain::id::MessageId;
use crate::domain::message::{Message, Role};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::json::raw;

/// A user's message in the response to its sender.
#[derive(ToSchema, Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct UserMessage<'a> {
    pub(super) id: Uuid,
    channel_id: Uuid,
    pub(super) content: &'a str,
    pub(super) author_id: Uuid,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    pub(super) created_at: Timestamp,
    /// The session's metadata, overridden by the message's own, and `sessionId`.
    #[schema(value_type = schemas::MessageMetadata)]
    pub(super) metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    attachments: Option<&'a RawValue>,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
}

/// An agent's reply, in the response to a message and at the end of a stream.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AgentResponse<'a> {
    id: Uuid,
    /// What the agent says.
    text: &'a str,
    /// The agent's reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<&'a str>,
    /// The actions that the agent took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    actions: Option<&'a RawValue>,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// The message that this is a reply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<Uuid>,
    /// As in the list of messages, with `model`, `finishReason`, `usage` and `truncated` if they are
    /// known.
    #[schema(value_type = schemas::MessageMetadata)]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    attachments: Option<&'a RawValue>,
}

/// A page of messages.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct MessageList<'a> {
    /// Newest first.
    messages: Vec<MessageInfo<'a>>,
    /// Whether there are more messages in the direction of paging.
    has_more: bool,
    /// The cursors of the adjacent pages; absent if the page is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursors: Option<Cursors>,
}

#[derive(ToSchema, Serialize)]
struct Cursors {
    /// The time of the oldest message, in milliseconds since the epoch.
    before: i64,
    /// The time of the newest message, in milliseconds since the epoch.
    after: i64,
}

#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageInfo<'a> {
    id: Uuid,
    content: &'a str,
    /// The user's or the agent's id.
    author_id: Uuid,
    is_agent: bool,
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T10:30:45.123Z")]
    created_at: Timestamp,
    /// With `thought` and `actions` of an agent, or with `agentError` if the agent failed to reply.
    #[schema(value_type = schemas::MessageMetadata)]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    attachments: Option<&'a RawValue>,
    /// The message that this is a reply to.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<Uuid>,
}

/// The response to a submission.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct Submitted<'a> {
    success: bool,
    data: SubmittedData<'a>,
}

/// What a submission has done.
#[derive(ToSchema, Serialize)]
#[serde(untagged)]
enum SubmittedData<'a> {
    /// A reply was stored.
    Reply(SubmittedMessage<'a>),
    /// Turns were closed with an error.
    Error(FailedMessages),
}

/// The messages whose turns were closed with an error.
#[derive(ToSchema, Serialize)]
struct FailedMessages {
    /// Oldest first.
    failed: Vec<Uuid>,
}

/// A submitted reply.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct SubmittedMessage<'a> {
    #[serde(flatten)]
    message: MessageInfo<'a>,
    /// The session.
    channel_id: Uuid,
}

impl<'a> UserMessage<'a> {
    pub(in crate::api) fn new(
        session: &Session,
        message: &'a Message,
        client_message_id: Option<&'a str>,
    ) -> Self {
        Self {
            id: message.id.0,
            channel_id: session.id.0,
            content: &message.body.content,
            author_id: message.author_id,
            created_at: message.created_at,
            metadata: Metadata::new(session, message),
            attachments: message.body.attachments.as_deref().and_then(raw),
            client_message_id,
        }
    }
}

impl<'a> From<&'a SentMessage> for UserMessage<'a> {
    fn from(message: &'a SentMessage) -> Self {
        let client_message_id = message.client_message_id.as_deref();
        Self::new(
            &message.sent.session,
            &message.sent.message,
            client_message_id,
        )
    }
}

impl<'a> From<&'a Message> for AgentResponse<'a> {
    fn from(reply: &'a Message) -> Self {
        let (in_reply_to, thought, actions) = match &reply.role {
            Role::Agent {
                in_reply_to,
                thought,
                actions,
            } => (*in_reply_to, thought.as_deref(), actions.as_deref()),
            Role::User { .. } => (None, None, None),
        };
        Self {
            id: reply.id.0,
            text: &reply.body.content,
            thought,
            actions: actions.and_then(raw),
            created_at: reply.created_at,
            in_reply_to: in_reply_to.map(|id| id.0),
            metadata: Metadata::of_reply(reply),
            attachments: reply.body.attachments.as_deref().and_then(raw),
        }
    }
}

impl<'a> MessageList<'a> {
    pub(in crate::api) fn new(session: &Session, page: &'a Page<impl Deref<Target = str>>) -> Self {
        let messages = &page.messages;
        let ends = messages.last().zip(messages.first());
        let cursors = ends.map(|(oldest, newest)| Cursors {
            before: oldest.created_at.0,
            after: newest.created_at.0,
        });
        let inherited = Inherited::new(session);
        let messages = messages
            .iter()
            .map(|message| MessageInfo::new(message, inherited.metadata(message)));
        Self {
            messages: messages.collect(),
            has_more: page.has_more,
            cursors,
        }
    }
}

impl<'a> Submitted<'a> {
    pub(in crate::api) fn reply(session: &Session, message: &'a Message) -> Self {
        Self {
            success: true,
            data: SubmittedData::Reply(SubmittedMessage {
                message: MessageInfo::new(message, Metadata::new(session, message)),
                channel_id: session.id.0,
            }),
        }
    }

    pub(in crate::api) fn error(failed: &[MessageId]) -> Self {
        Self {
            success: true,
            data: SubmittedData::Error(FailedMessages {
                failed: failed.iter().map(|id| id.0).collect(),
            }),
        }
    }
}

impl<'a> MessageInfo<'a> {
    pub(super) fn new(message: &'a Message<impl Deref<Target = str>>, metadata: Metadata) -> Self {
        let in_reply_to = match &message.role {
            Role::Agent { in_reply_to, .. } => *in_reply_to,
            Role::User { .. } => None,
        };
        Self {
            id: message.id.0,
            content: &message.body.content,
            author_id: message.author_id,
            is_agent: message.is_agent(),
            created_at: message.created_at,
            metadata,
            attachments: message.body.attachments.as_deref().and_then(raw),
            in_reply_to: in_reply_to.map(|id| id.0),
        }
    }
}
