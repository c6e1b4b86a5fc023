//! All Engine.IO sessions, and Socket.IO upon them.
//!
//! The crate `engineioxide` carries the messages; the few packets of Socket.IO that its clients
//! exchange with this server are read and written here. The library for those, `socketioxide`,
//! offers no way to end a session before it is connected, holds the memory of one that has ended
//! until its time to connect is over, and does not say how many bytes wait for a client: with it,
//! what strangers can create has no bound in bytes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use engineioxide::handler::EngineIoHandler;
use engineioxide::socket::Sid;
use engineioxide::{DisconnectReason, Str};
use uuid::Uuid;

use super::encoded::Encoded;
use super::flow::Shared;
use super::packet::{self, Packet};
use super::payload::{self, Handshake};
use super::session::{Queued, Session};
use super::socket::{self, Peer};
use crate::app::App;
use crate::auth::Authenticator;
use crate::auth::identity::{Credentials, Principal, Unauthorized};
use crate::telemetry::AUDIT;

/// How many events may wait for a socket's task.
const MAX_QUEUED: usize = 256;

/// A session as Engine.IO knows it.
pub(super) type EngineSocket = engineioxide::Socket<Data>;

/// What Engine.IO keeps for us with a session.
#[derive(Debug, Default)]
pub(super) struct Data(OnceLock<Arc<Session>>);

/// The open sessions, and what they speak to.
pub(super) struct Hub {
    app: Arc<App>,
    guard: Arc<Authenticator>,
    pub(super) shared: Shared,
    encoded: Arc<Encoded>,
    open: Mutex<HashMap<Sid, Arc<EngineSocket>>>,
}

/// Why a socket is not connected; the client is told.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refused {
    #[error("Credentials are missing or wrong")]
    Credentials,
    #[error("auth.entityId must be a UUID")]
    EntityId,
}

impl Hub {
    pub(super) fn new(app: &Arc<App>, guard: Arc<Authenticator>) -> Self {
        Self {
            app: Arc::clone(app),
            guard,
            shared: Shared::new(),
            encoded: Arc::default(),
            open: Mutex::default(),
        }
    }

    /// Who the headers of a request say that its client is.
    pub(super) fn identify(
        &self,
        credentials: &Credentials<'_>,
    ) -> Result<Principal, Unauthorized> {
        self.guard.identify(credentials)
    }

    /// An open session.
    pub(super) fn session(&self, sid: Sid) -> Option<Arc<Session>> {
        session_of(self.open().get(&sid)?).cloned()
    }

    /// Closes every session.
    pub(super) fn close(&self) {
        let open: Vec<_> = self.open().values().cloned().collect();
        for socket in open {
            socket.close(DisconnectReason::ClosingServer);
        }
    }

    fn connect(
        &self,
        socket: &Arc<EngineSocket>,
        session: &Arc<Session>,
        auth: serde_json::Value,
    ) -> Result<(), Refused> {
        let handshake = Handshake::from(auth);
        let (caller, entity_id) = self.admit(session, &handshake)?;
        let Some(queued) = session.accept(MAX_QUEUED) else {
            // A second CONNECT changes nothing.
            return Ok(());
        };
        if self.guard.asks() {
            session.hold(true);
        }
        let peer = Peer {
            socket: Arc::clone(socket),
            session: Arc::clone(session),
            encoded: Arc::clone(&self.encoded),
            holds_always: self.guard.asks(),
        };
        let visitor = session.visitor(caller);
        tokio::spawn(socket::run(
            Arc::clone(&self.app),
            peer,
            queued,
            visitor,
            entity_id,
        ));
        Ok(())
    }

    /// Who connects, with which rights.
    fn admit(
        &self,
        session: &Session,
        handshake: &Handshake,
    ) -> Result<(Principal, Option<Uuid>), Refused> {
        let own = handshake.credentials();
        // What a client sends as its `auth` comes before the headers of its first request.
        let caller = match own {
            Some(own) => self
                .guard
                .identify(&own)
                .or_else(|reason| session.by_headers.map_err(|_| reason)),
            None => session.by_headers,
        };
        let caller = caller.map_err(|reason| refused(session, reason))?;
        let entity_id = handshake.entity_id().map_err(|()| Refused::EntityId)?;
        Ok((caller, entity_id))
    }

    fn receive(&self, socket: &Arc<EngineSocket>, session: &Arc<Session>, text: &str) {
        match packet::read(text) {
            Ok(Packet::Connect(auth)) if session.is_handshake() => {
                if let Err(reason) = self.connect(socket, session, auth) {
                    Peer::tell(socket, session, packet::refused(&reason.to_string()));
                }
            }
            Ok(Packet::Event { event, ack }) => {
                let Ok(reservation) = self.shared.event(text.len()) else {
                    tracing::info!("too many events wait, a socket is disconnected");
                    return session.cut_off();
                };
                if !payload::is_known(&event) {
                    return;
                }
                let queued = Queued {
                    sent: event,
                    ack,
                    _reservation: reservation,
                };
                if session.queue(queued).is_err() {
                    tracing::info!("a socket sends before it is connected, or too much");
                    session.end();
                }
            }
            Ok(Packet::OtherNamespace(name)) => {
                Peer::tell(socket, session, packet::no_namespace(&name));
            }
            Ok(Packet::Connect(_) | Packet::Ignored) => {}
            Ok(Packet::Disconnect) | Err(packet::Malformed) => session.end(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Sid, Arc<EngineSocket>>> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineIoHandler for Hub {
    type Data = Data;

    fn on_connect(self: Arc<Self>, socket: Arc<EngineSocket>) {
        let extensions = &socket.req_parts.extensions;
        let Some(session) = extensions.get::<Arc<Session>>() else {
            // Nobody gets here but by the entrance.
            return socket.close(DisconnectReason::TransportError);
        };
        let session = Arc::clone(session);
        // It is set here and nowhere else.
        let _ = socket.data.0.set(Arc::clone(&session));
        self.open().insert(socket.id, Arc::clone(&socket));
        tokio::spawn(session.watch(socket));
    }

    fn on_disconnect(&self, socket: Arc<EngineSocket>, _reason: DisconnectReason) {
        self.open().remove(&socket.id);
        if let Some(session) = session_of(&socket) {
            session.ended();
        }
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<EngineSocket>) {
        if let Some(session) = session_of(&socket) {
            session.message_arrived();
            self.receive(&socket, session, &text);
        }
    }

    /// The data of an event with binary data, which was refused when it was announced.
    fn on_binary(self: &Arc<Self>, _data: Bytes, socket: Arc<EngineSocket>) {
        if let Some(session) = session_of(&socket) {
            session.message_arrived();
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

fn session_of(socket: &EngineSocket) -> Option<&Arc<Session>> {
    socket.data.0.get()
}

fn refused(session: &Session, reason: Unauthorized) -> Refused {
    let address = session.address;
    tracing::info!(target: AUDIT, who = "unknown", %reason, %address, route = super::PATH, "audit");
    Refused::Credentials
}
