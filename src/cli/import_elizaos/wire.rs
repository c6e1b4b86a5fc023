//! What an `ElizaOS` server answers.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::json::Field;

/// The object around every answer.
#[derive(Debug, Deserialize)]
pub(super) struct Enveloped<T> {
    pub(super) data: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageServers {
    pub(super) message_servers: Vec<MessageServer>,
}

/// A group of channels. Most servers have one.
#[derive(Debug, Deserialize)]
pub(super) struct MessageServer {
    pub(super) id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Channels {
    pub(super) channels: Vec<Channel>,
}

/// A conversation: one of its sessions, a direct message or a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Channel {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Field<String>,
    #[serde(default)]
    pub(super) created_at: Field<String>,
    #[serde(default)]
    pub(super) metadata: Field<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServerAgents {
    pub(super) agents: Vec<ServerAgent>,
}

/// An agent of that server.
#[derive(Debug, Deserialize)]
pub(super) struct ServerAgent {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Field<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Messages {
    pub(super) messages: Vec<ChannelMessage>,
}

/// A message of a channel. `metadata` has the `thought`, the `actions` and the `attachments` that
/// the server stores beside it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChannelMessage {
    pub(super) id: String,
    pub(super) author_id: String,
    #[serde(default)]
    pub(super) content: Value,
    #[serde(default)]
    pub(super) source_type: Field<String>,
    #[serde(default)]
    pub(super) in_reply_to_root_message_id: Field<String>,
    #[serde(default)]
    pub(super) metadata: Field<Map<String, Value>>,
    pub(super) created_at: String,
}
