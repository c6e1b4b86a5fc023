//! Parses the input of sockets, for fuzzers.

use serde_json::Value;

use super::packet::{self, Packet};
use super::payload::{self, Handshake};

/// Parses a payload as that of an event and as the `auth` of a connecting socket, and a text as a
/// packet.
pub(crate) fn frame(event: &str, payload: Value) {
    for name in [event, "message", "join", "leave", "1", "2"] {
        packet(&format!(
            "217{}",
            Value::from(vec![name.into(), payload.clone()])
        ));
    }
    packet(event);
    let _ = Handshake::from(payload).entity_id();
}

fn packet(text: &str) {
    if let Ok(Packet::Event { event, .. }) = packet::parse(text)
        && payload::is_known(&event)
    {
        let _ = payload::parse(event);
    }
}
