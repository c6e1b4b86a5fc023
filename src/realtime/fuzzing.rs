//! What is read of sockets, for fuzzers.

use serde_json::Value;

use super::payload::{self, Handshake};

/// Reads a payload as that of an event, and as the `auth` of a connecting socket.
pub(crate) fn frame(event: &str, payload: Value) {
    for name in [event, "message", "join", "leave", "1", "2"] {
        let _ = payload::wish(name, &payload);
    }
    let _ = Handshake::from(payload).entity_id();
}
