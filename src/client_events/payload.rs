//! The payloads of events. Their schemas are part of the `OpenAPI` document.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// A stored message of the user or the agent, sent over HTTP or Socket.IO.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBroadcast<'a> {
    pub(super) id: Uuid,
    /// The user's or the agent's id.
    pub(super) sender_id: Uuid,
    pub(super) sender_name: String,
    /// The content.
    pub(super) text: &'a str,
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
    pub(super) session_id: Uuid,
    /// The nil UUID.
    pub(super) server_id: Uuid,
    /// The nil UUID.
    pub(super) message_server_id: Uuid,
    /// Milliseconds since the Unix epoch.
    pub(super) created_at: i64,
    #[schema(inline)]
    pub(super) source: Source,
    /// The thought behind the reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought: Option<&'a str>,
    /// The actions of the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    pub(super) actions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) attachments: Option<Value>,
    /// The message that a reply answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_reply_to: Option<Uuid>,
    /// As in the list of messages.
    #[schema(value_type = Object)]
    pub(super) metadata: Map<String, Value>,
    /// The client's own id; only the socket that sent the message receives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_message_id: Option<&'a str>,
}

/// Where a message came from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    User,
    SocketioClient,
    AgentResponse,
}

/// Whether the user can type: `disable_input` when the first turn opens, `enable_input` when no
/// turn is left.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlMessage {
    #[schema(inline)]
    pub(super) action: Action,
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
}

/// What a client does with its input field.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    DisableInput,
    EnableInput,
}

/// A chunk of an unfinished reply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStreamChunk<'a> {
    /// The id that the reply will have.
    pub(super) message_id: Uuid,
    pub(super) chunk: &'a str,
    /// The index of the chunk within the reply, from 0.
    pub(super) index: u32,
    pub(super) agent_id: Uuid,
    pub(super) channel_id: Uuid,
}

/// A turn was closed without a reply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStreamError<'a> {
    /// The id that the reply would have had.
    pub(super) message_id: Uuid,
    pub(super) channel_id: Uuid,
    pub(super) agent_id: Uuid,
    /// Why there is no reply, for people.
    pub(super) error: &'a str,
    /// The cause, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) reason: Option<&'static str>,
    /// The text that was streamed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partial_text: Option<&'a str>,
}

/// The end of a turn, with a reply or without.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageComplete {
    pub(super) channel_id: Uuid,
    pub(super) session_id: Uuid,
}

/// The session was renewed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRenewed {
    pub(super) session_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
    /// The number of renewals.
    pub(super) renewal_count: u32,
}

/// The session's metadata changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUpdated {
    pub(super) session_id: Uuid,
    /// All of the metadata.
    #[schema(value_type = Object)]
    pub(super) metadata: Map<String, Value>,
}

/// The time left fell to the session's warning threshold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionExpirationWarning {
    pub(super) session_id: Uuid,
    /// Rounded up.
    pub(super) minutes_remaining: i64,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
}

/// The session expired.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionExpired {
    pub(super) session_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    pub(super) expired_at: Timestamp,
}

/// The session was deleted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names)] // These are the names on the wire.
pub struct ChannelDeleted {
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
    pub(super) session_id: Uuid,
}

/// The state of the session when the live events begin.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionState)]
pub struct State<'a> {
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
    /// The number of renewals.
    pub(super) renewal_count: u32,
    /// Whether the time left is within the warning threshold.
    pub(super) is_near_expiration: bool,
    /// Whether no turn is open.
    pub(super) input_enabled: bool,
    /// The unfinished reply that is being streamed. It replaces what a client holds of that message;
    /// without it, no reply is being streamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) partial: Option<Partial<'a>>,
}

/// The beginning of an unfinished reply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PartialReply)]
pub struct Partial<'a> {
    /// The id that the reply will have.
    pub(super) message_id: Uuid,
    /// The text of all chunks so far.
    pub(super) text: &'a str,
    /// The index of the last chunk in it. The next chunk has the index after that.
    pub(super) index: u32,
}
