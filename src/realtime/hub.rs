//! All Engine.IO sessions, and the Socket.IO protocol on top of them.
//!
//! `engineioxide` carries the messages; the few Socket.IO packets that clients exchange with this
//! server are parsed and encoded here. The library for those, `socketioxide`, cannot end a session
//! before it is connected, holds the memory of an ended one until its connect timeout, and does not
//! report how many bytes wait for a client: the memory that unauthenticated clients can use would
//! be unbounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use engineioxide::handler::EngineIoHandler;
use engineioxide::socket::Sid;
use engineioxide::{DisconnectReason, Str};
use serde_json::Value;
use uuid::Uuid;

use super::budgets::{Budgets, lock};
use super::packet::{self, Packet};
use super::packet_cache::PacketCache;
use super::payload::{self, Handshake};
use super::peer::{Disconnect, Peer};
use super::session::{EngineSession, EngineSocket, QueuedEvent, watch};
use super::socket::SocketTask;
use crate::app::{App, SessionSubscription};
use crate::auth::identity::{Principal, Unauthorized};
use crate::auth::{Authenticator, ClientContext};
use crate::telemetry::AUDIT;

/// How many events may wait for a socket's task.
const MAX_QUEUED: usize = 256;

/// The open sessions and what they share.
#[derive(Debug)]
pub(super) struct Hub {
    app: Arc<App>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) budgets: Budgets,
    packets: Arc<PacketCache>,
    open: Mutex<HashMap<Sid, Peer>>,
}

/// Why a socket is not connected, in words for the client.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error("Credentials are missing or wrong")]
    Credentials,
    #[error("auth.entityId must be a UUID")]
    EntityId,
}

impl Hub {
    pub(super) fn new(app: &Arc<App>, authenticator: Arc<Authenticator>) -> Self {
        Self {
            app: Arc::clone(app),
            authenticator,
            budgets: Budgets::new(),
            packets: Arc::default(),
            open: Mutex::default(),
        }
    }

    /// Returns an open session.
    pub(super) fn session(&self, sid: Sid) -> Option<Arc<EngineSession>> {
        let open = lock(&self.open);
        Some(Arc::clone(&open.get(&sid)?.session))
    }

    /// Closes every session.
    pub(super) fn close(&self) {
        let open: Vec<_> = lock(&self.open).values().cloned().collect();
        for peer in open {
            peer.socket.close(DisconnectReason::ClosingServer);
        }
    }

    fn connect(&self, peer: &Peer, auth: Value) -> Result<(), Refused> {
        let (principal, entity_id) = self.authenticate(&peer.session, auth)?;
        let Some(queued) = peer.session.accept(MAX_QUEUED) else {
            // A second CONNECT changes nothing.
            return Ok(());
        };
        // An authenticated client is never evicted for others.
        let always_busy = self.authenticator.requires_credentials();
        if always_busy {
            peer.session.set_busy(true);
        }
        let client = ClientContext {
            principal,
            address: Some(peer.session.client.address),
        };
        let task = SocketTask {
            app: Arc::clone(&self.app),
            peer: peer.clone(),
            packets: Arc::clone(&self.packets),
            client,
            always_busy,
            subscription: SessionSubscription::new(&self.app),
            sending: None,
        };
        tokio::spawn(task.run(queued, entity_id));
        Ok(())
    }

    /// Returns who connects, and the id that they give themselves.
    fn authenticate(
        &self,
        session: &EngineSession,
        auth: Value,
    ) -> Result<(Principal, Option<Uuid>), Refused> {
        let handshake = Handshake::from(auth);
        let by_headers = session.client.by_headers;
        // Credentials in `auth` take precedence over the headers of the handshake request.
        let principal = match handshake.credentials() {
            Some(credentials) => self
                .authenticator
                .identify(&credentials)
                .or_else(|reason| by_headers.map_err(|_| reason)),
            None => by_headers,
        };
        let principal = principal.map_err(|reason| refused(session, reason))?;
        let entity_id = handshake.entity_id().map_err(|()| Refused::EntityId)?;
        Ok((principal, entity_id))
    }

    fn receive(&self, peer: &Peer, text: &str) -> Result<(), Disconnect> {
        let session = &peer.session;
        match packet::parse(text) {
            Ok(Packet::Connect(auth)) if session.is_handshake() => {
                if let Err(reason) = self.connect(peer, auth) {
                    peer.send(packet::refused(&reason.to_string()))?;
                }
            }
            Ok(Packet::Event { event, ack }) => {
                let Ok(reservation) = self.budgets.events.reserve(text.len()) else {
                    return Err(Disconnect("too many events of all sockets wait"));
                };
                if !payload::is_known(&event) {
                    return Ok(());
                }
                let queued = QueuedEvent {
                    event,
                    ack,
                    _reservation: reservation,
                };
                if !session.queue(queued) {
                    tracing::info!("a socket sends before it is connected, or too much");
                    session.end();
                }
            }
            Ok(Packet::OtherNamespace(name)) => peer.send(packet::no_namespace(&name))?,
            Ok(Packet::Connect(_) | Packet::Ignored) => {}
            Ok(Packet::Disconnect) | Err(packet::Malformed) => session.end(),
        }
        Ok(())
    }
}

impl EngineIoHandler for Hub {
    type Data = ();

    fn on_connect(self: Arc<Self>, socket: Arc<EngineSocket>) {
        let Some(peer) = Peer::new(Arc::clone(&socket)) else {
            return socket.close(DisconnectReason::TransportError);
        };
        lock(&self.open).insert(socket.id, peer.clone());
        tokio::spawn(watch(peer.session, socket));
    }

    fn on_disconnect(&self, socket: Arc<EngineSocket>, _reason: DisconnectReason) {
        let closed = lock(&self.open).remove(&socket.id);
        if let Some(peer) = closed {
            peer.session.ended();
        }
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<EngineSocket>) {
        if let Some(peer) = Peer::new(socket) {
            peer.session.client.inbox.complete();
            if let Err(reason) = self.receive(&peer, &text) {
                peer.disconnect(reason);
            }
        }
    }

    /// Ignores the binary data of an event, which was refused when it was announced.
    fn on_binary(self: &Arc<Self>, _data: Bytes, socket: Arc<EngineSocket>) {
        if let Some(peer) = Peer::new(socket) {
            peer.session.client.inbox.complete();
        }
    }
}

fn refused(session: &EngineSession, reason: Unauthorized) -> Refused {
    let (address, route) = (session.client.address, packet::PATH);
    tracing::info!(target: AUDIT, who = "unknown", %reason, %address, route, "audit");
    Refused::Credentials
}
