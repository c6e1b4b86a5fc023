//! Sends packets to one client.

use std::sync::Arc;

use engineioxide::Str;
use serde::Serialize;
use serde_json::Value;

use super::packet;
use super::session::{EngineSession, EngineSocket};

/// A client, by its socket and its session.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) socket: Arc<EngineSocket>,
    pub(super) session: Arc<EngineSession>,
}

/// Why a client is disconnected.
#[derive(Debug)]
pub(super) struct Disconnect(pub(super) &'static str);

impl Peer {
    /// Returns the client of a socket. `engine_io` gives every socket its session.
    pub(super) fn new(socket: Arc<EngineSocket>) -> Option<Self> {
        let session = socket.req_parts.extensions.get().cloned()?;
        Some(Self { socket, session })
    }

    /// Sends a packet. A client that cannot take it must be disconnected: it would miss the packet
    /// without knowing.
    pub(super) fn send(&self, packet: impl Into<Str>) -> Result<(), Disconnect> {
        let packet = packet.into();
        // Engine.IO prefixes one byte.
        let counted = self.session.client.outbox.send(packet.len() + 1);
        counted.map_err(|_| Disconnect("it does not read what it is sent"))?;
        let sent = self.socket.emit(packet);
        sent.map_err(|_| Disconnect("it does not read what it is sent, or is gone"))
    }

    /// Sends an event.
    pub(super) fn emit<T: Serialize>(&self, name: &str, payload: &T) -> Result<(), Disconnect> {
        self.send(encode(name, payload)?)
    }

    /// Sends an event and, if the client expects an acknowledgement, the same payload as that.
    pub(super) fn answer(
        &self,
        name: &str,
        payload: &Value,
        ack: Option<u64>,
    ) -> Result<(), Disconnect> {
        self.emit(name, payload)?;
        self.acknowledge(ack, Some(payload))
    }

    /// Sends an acknowledgement, if the client expects one.
    pub(super) fn acknowledge(
        &self,
        ack: Option<u64>,
        body: Option<&Value>,
    ) -> Result<(), Disconnect> {
        ack.map_or(Ok(()), |ack| self.send(packet::acknowledged(ack, body)))
    }

    /// Disconnects the client at once. Waiting packets are dropped.
    pub(super) fn disconnect(&self, Disconnect(reason): Disconnect) {
        tracing::info!(socket = %self.socket.id, reason, "a socket is disconnected");
        self.session.abort();
    }
}

/// Encodes an event as a packet.
pub(super) fn encode<T: Serialize>(name: &str, payload: &T) -> Result<String, Disconnect> {
    packet::emitted(name, payload).map_err(|_| Disconnect("an event cannot be encoded"))
}
