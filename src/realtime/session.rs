//! One Engine.IO session: the slot it uses, how far it has come, and its end.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engineioxide::DisconnectReason;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::flow::{Incoming, Outbox};
use super::hub::EngineSocket;
use super::payload::Sent;
use crate::auth::ClientContext;
use crate::auth::identity::{Principal, Unauthorized};
use crate::connections::budget::{Exhausted, Reservation};
use crate::connections::{BusyGuard, Connection, ConnectionGuard, Connections};

/// How long a session may take until it is accepted.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take to read the end of what it was sent.
const PARTING: Duration = Duration::from_secs(2);

/// What is known of a session, from its handshake to its end.
#[derive(Debug)]
pub(super) struct Session {
    /// Where its client is.
    pub(super) address: IpAddr,
    /// Who the headers of its handshake say that it is.
    pub(super) by_headers: Result<Principal, Unauthorized>,
    /// What is on its way to the client.
    pub(super) outbox: Outbox,
    incoming: Incoming,
    connections: Arc<Connections>,
    slot: Mutex<Slot>,
    stage: Mutex<Stage>,
    accepted: CancellationToken,
    /// Cancelled to end it.
    ending: CancellationToken,
    /// Cancelled when it has ended.
    pub(super) closed: CancellationToken,
}

/// The slot that a session uses.
#[derive(Debug)]
struct Slot {
    connection: Arc<Connection>,
    /// The slot of a session by polling; a session by WebSocket uses that of its connection.
    polling: Option<ConnectionGuard>,
    /// Present while the session is not evicted for others.
    busy: Option<BusyGuard>,
}

/// How far a session has come.
#[derive(Debug)]
enum Stage {
    /// It is not connected to Socket.IO.
    Handshake,
    /// It is, and this is where its events go.
    Connected(mpsc::Sender<Queued>),
    /// It is over.
    Over,
}

/// An event that waits to be carried out.
#[derive(Debug)]
pub(super) struct Queued {
    /// The event.
    pub(super) sent: Sent,
    /// What the answer is to be called, where the client waits for one.
    pub(super) ack: Option<u64>,
    pub(super) _reservation: Reservation,
}

/// A connection that cannot serve a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotUpgraded {
    /// The session uses a WebSocket already.
    AlreadyUpgraded,
    /// There are too many connections.
    TooManyConnections,
}

/// Who begins a session, and from where.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: IpAddr,
    pub(super) by_headers: Result<Principal, Unauthorized>,
    pub(super) outbox: Outbox,
    pub(super) incoming: Incoming,
}

impl Session {
    /// A session by polling.
    pub(super) fn by_polling(
        origin: Origin,
        connections: &Arc<Connections>,
        guard: ConnectionGuard,
    ) -> Arc<Self> {
        let connection = Arc::clone(guard.connection());
        Self::new(origin, connections, connection, Some(guard))
    }

    /// A session by WebSocket, whose connection was upgraded for it.
    pub(super) fn by_socket(
        origin: Origin,
        connections: &Arc<Connections>,
        connection: &Arc<Connection>,
    ) -> Arc<Self> {
        Self::new(origin, connections, Arc::clone(connection), None)
    }

    fn new(
        origin: Origin,
        connections: &Arc<Connections>,
        connection: Arc<Connection>,
        polling: Option<ConnectionGuard>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address: origin.address,
            by_headers: origin.by_headers,
            outbox: origin.outbox,
            incoming: origin.incoming,
            connections: Arc::clone(connections),
            slot: Mutex::new(Slot {
                connection,
                polling,
                busy: None,
            }),
            stage: Mutex::new(Stage::Handshake),
            accepted: CancellationToken::new(),
            ending: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Moves the session from polling to a connection, whose slot it uses from then on.
    pub(super) fn upgrade(&self, connection: &Arc<Connection>) -> Result<(), NotUpgraded> {
        let mut slot = self.slot();
        if slot.polling.is_none() {
            return Err(NotUpgraded::AlreadyUpgraded);
        }
        let is_handshake = !self.accepted.is_cancelled();
        self.connections
            .upgrade(connection, self.address, is_handshake)
            .map_err(|_| NotUpgraded::TooManyConnections)?;
        slot.polling = None;
        slot.connection = Arc::clone(connection);
        slot.busy = slot.busy.take().map(|_| connection.mark_busy());
        Ok(())
    }

    /// Connects the session to Socket.IO. Its events come out where this returns.
    pub(super) fn accept(&self, max_queued: usize) -> Option<mpsc::Receiver<Queued>> {
        let mut stage = self.stage();
        if !matches!(*stage, Stage::Handshake) {
            return None;
        }
        let (events, queued) = mpsc::channel(max_queued);
        *stage = Stage::Connected(events);
        drop(stage);
        // Under the lock, so that an upgrade sees it or is seen by it.
        let slot = self.slot();
        self.accepted.cancel();
        self.connections.accept(&slot.connection);
        Some(queued)
    }

    /// Whether it is not connected to Socket.IO yet.
    pub(super) fn is_handshake(&self) -> bool {
        matches!(*self.stage(), Stage::Handshake)
    }

    /// Marks the session as busy, so that it is not evicted for others, or as idle.
    pub(super) fn hold(&self, holds: bool) {
        let mut slot = self.slot();
        if holds != slot.busy.is_some() {
            slot.busy = holds.then(|| slot.connection.mark_busy());
        }
    }

    /// Queues an event. Returns it where that is not possible.
    pub(super) fn queue(&self, event: Queued) -> Result<(), Queued> {
        match &*self.stage() {
            Stage::Connected(events) => events.try_send(event).map_err(TrySendError::into_inner),
            Stage::Handshake | Stage::Over => Err(event),
        }
    }

    /// Counts bytes that have arrived by WebSocket.
    pub(super) fn arrived(&self, bytes: usize) -> Result<(), Exhausted> {
        self.incoming.arrived(bytes, self.accepted.is_cancelled())
    }

    /// Notes that a message has arrived in full.
    pub(super) fn message_arrived(&self) {
        self.incoming.complete();
    }

    /// Has the session end.
    pub(super) fn end(&self) {
        self.ending.cancel();
    }

    /// Has the session end at once, whatever its client has not read yet.
    pub(super) fn cut_off(&self) {
        self.end();
        self.slot().connection.close();
    }

    /// Notes that the session has ended.
    pub(super) fn ended(&self) {
        *self.stage() = Stage::Over;
        self.closed.cancel();
    }

    /// Who speaks to the server, with the rights of a caller.
    pub(super) fn visitor(&self, caller: Principal) -> ClientContext {
        ClientContext {
            principal: caller,
            address: Some(self.address),
        }
    }

    /// Ends the session when it is to end, is evicted, or was not accepted in time.
    pub(super) async fn watch(self: Arc<Self>, socket: Arc<EngineSocket>) {
        // A WebSocket fails by itself when its connection is closed, see `SocketStream`.
        let polling = {
            let slot = self.slot();
            slot.polling.as_ref().map(|it| Arc::clone(it.connection()))
        };
        let evicted = async {
            match &polling {
                Some(connection) => connection.closed().await,
                None => pending().await,
            }
        };
        let leaves = async {
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = evicted => {}
                () = self.late() => tracing::debug!("a handshake was not completed in time"),
            }
        };
        if self.closed.run_until_cancelled(leaves).await.is_none() {
            return;
        }
        socket.close(DisconnectReason::TransportClose);
        drop(socket);
        if timeout(PARTING, self.closed.cancelled()).await.is_err() {
            self.slot().connection.close();
        }
    }

    /// Returns when the session has not been accepted in time, and else never.
    async fn late(&self) {
        if timeout(HANDSHAKE, self.accepted.cancelled()).await.is_ok() {
            pending::<()>().await;
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // No code panics with the lock held.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // As above.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
