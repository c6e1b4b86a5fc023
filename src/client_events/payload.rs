//! What the events carry. The description of the API is made from these too.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// A stored message, the user's or the agent's, whichever way it came.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBroadcast<'a> {
    pub(super) id: Uuid,
    /// The user's or the agent's id.
    pub(super) sender_id: Uuid,
    pub(super) sender_name: &'a str,
    /// What is said.
    pub(super) text: &'a str,
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
    pub(super) session_id: Uuid,
    /// The nil UUID.
    pub(super) server_id: Uuid,
    /// The nil UUID.
    pub(super) message_server_id: Uuid,
    /// In milliseconds of the epoch.
    pub(super) created_at: i64,
    #[schema(inline)]
    pub(super) source: Source,
    /// What the agent thought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought: Option<&'a str>,
    /// What the agent did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    pub(super) actions: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) attachments: Option<Value>,
    /// The message that a reply answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_reply_to: Option<Uuid>,
    /// The same as in the list of messages.
    #[schema(value_type = Object)]
    pub(super) metadata: Map<String, Value>,
    /// As the client sent it; told to the socket that sent it, and to nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_message_id: Option<&'a str>,
}

/// The way by which a message came.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    User,
    SocketioClient,
    AgentResponse,
}

/// Whether the user may go on: `disable_input` where the session goes from idle to busy,
/// `enable_input` where no turn is left.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlMessage {
    #[schema(inline)]
    pub(super) action: Action,
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
}

/// What a page does with its input.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    DisableInput,
    EnableInput,
}

/// A piece of a reply that is still coming.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStreamChunk<'a> {
    /// The id that the reply will have.
    pub(super) message_id: Uuid,
    pub(super) chunk: &'a str,
    /// Its place among the reply's pieces, from 0.
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
    /// Why there is none, for people.
    pub(super) error: &'a str,
    /// What had come of it.
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
    /// How often it was renewed.
    pub(super) renewal_count: u32,
}

/// The time that is left fell to the session's warning threshold.
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
#[allow(clippy::struct_field_names)] // The wire has it so.
pub struct ChannelDeleted {
    pub(super) channel_id: Uuid,
    pub(super) room_id: Uuid,
    pub(super) session_id: Uuid,
}

/// How the session stands when the live events begin.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionState)]
pub struct State {
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
    /// How often it was renewed.
    pub(super) renewal_count: u32,
    /// Whether no more is left than the warning threshold.
    pub(super) is_near_expiration: bool,
    /// Whether no turn is open.
    pub(super) input_enabled: bool,
}
