//! One Engine.IO session: the connection slot it uses, its stage, and its end.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engineioxide::DisconnectReason;
use futures_util::future::OptionFuture;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::budgets::{Inbox, Outbox, lock};
use super::payload::ReceivedEvent;
use crate::auth::identity::{Principal, Unauthorized};
use crate::connections::budget::{Exhausted, ReservedBytes};
use crate::connections::{BusyGuard, Connection, ConnectionGuard, Connections};

/// How long a session may take until it is connected to Socket.IO.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to read its last packets.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A session of the Engine.IO library.
pub(super) type EngineSocket = engineioxide::Socket<()>;

/// A session, from its handshake to its end.
#[derive(Debug)]
pub(super) struct EngineSession {
    pub(super) client: Client,
    connections: Arc<Connections>,
    slot: Mutex<Slot>,
    stage: Mutex<Stage>,
    accepted: CancellationToken,
    /// Cancelled to end the session.
    ending: CancellationToken,
    /// Cancelled when the session has ended.
    pub(super) closed: CancellationToken,
}

/// The client of a session.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// The principal by the headers of the handshake request.
    pub(super) by_headers: Result<Principal, Unauthorized>,
    pub(super) outbox: Outbox,
    pub(super) inbox: Inbox,
}

/// The connection slot that a session uses.
#[derive(Debug)]
struct Slot {
    connection: Arc<Connection>,
    /// The slot of a session by polling; a session by WebSocket uses that of its connection.
    polling: Option<ConnectionGuard>,
    /// Present while the session must not be evicted for others.
    busy: Option<BusyGuard>,
}

#[derive(Debug)]
enum Stage {
    /// The session is not connected to Socket.IO yet.
    Handshake,
    /// The session is connected; its events go here.
    Connected(mpsc::Sender<QueuedEvent>),
    Ended,
}

/// An event that waits to be handled.
#[derive(Debug)]
pub(super) struct QueuedEvent {
    pub(super) event: ReceivedEvent,
    /// The id of the acknowledgement, if the client expects one.
    pub(super) ack: Option<u64>,
    pub(super) _reservation: ReservedBytes,
}

/// Why a request is refused, in the form of Engine.IO.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refused {
    TooManyConnections,
    UnknownSession,
    BadRequest,
}

impl EngineSession {
    /// Creates a session by polling, with a guard of its slot, or by WebSocket.
    pub(super) fn new(
        client: Client,
        connections: &Arc<Connections>,
        connection: &Arc<Connection>,
        polling: Option<ConnectionGuard>,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            connections: Arc::clone(connections),
            slot: Mutex::new(Slot {
                connection: Arc::clone(connection),
                polling,
                busy: None,
            }),
            stage: Mutex::new(Stage::Handshake),
            accepted: CancellationToken::new(),
            ending: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Moves the session from polling to a WebSocket connection, whose slot it uses from then on.
    pub(super) fn upgrade(&self, connection: &Arc<Connection>) -> Result<(), Refused> {
        let mut slot = lock(&self.slot);
        if slot.polling.is_none() {
            // It uses a WebSocket already.
            return Err(Refused::BadRequest);
        }
        let is_handshake = !self.accepted.is_cancelled();
        self.connections
            .upgrade(connection, self.client.address, is_handshake)
            .map_err(|_| Refused::TooManyConnections)?;
        slot.polling = None;
        slot.connection = Arc::clone(connection);
        slot.busy = slot.busy.take().map(|_| connection.mark_busy());
        Ok(())
    }

    /// Connects the session to Socket.IO, and returns the receiver of its events; `None` if it is
    /// connected already or has ended.
    pub(super) fn accept(&self, max_queued: usize) -> Option<mpsc::Receiver<QueuedEvent>> {
        let mut stage = lock(&self.stage);
        if !matches!(*stage, Stage::Handshake) {
            return None;
        }
        let (events, queued) = mpsc::channel(max_queued);
        *stage = Stage::Connected(events);
        drop(stage);
        // Under the lock, so that a concurrent upgrade sees it or is seen by it.
        let slot = lock(&self.slot);
        self.accepted.cancel();
        self.connections.accept(&slot.connection);
        Some(queued)
    }

    /// Returns whether the session is not connected to Socket.IO yet.
    pub(super) fn is_handshake(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Handshake)
    }

    /// Sets whether the session is busy. A busy one is not evicted for others.
    pub(super) fn set_busy(&self, is_busy: bool) {
        let mut slot = lock(&self.slot);
        if is_busy != slot.busy.is_some() {
            slot.busy = is_busy.then(|| slot.connection.mark_busy());
        }
    }

    /// Queues an event. Returns `false` if the queue is full, or the session is not connected.
    pub(super) fn queue(&self, event: QueuedEvent) -> bool {
        match &*lock(&self.stage) {
            Stage::Connected(events) => events.try_send(event).is_ok(),
            Stage::Handshake | Stage::Ended => false,
        }
    }

    /// Counts bytes that were received by WebSocket.
    pub(super) fn receive(&self, bytes: usize) -> Result<(), Exhausted> {
        let accepted = self.accepted.is_cancelled();
        self.client.inbox.receive(bytes, accepted)
    }

    /// Ends the session after its client has read its last packets.
    pub(super) fn end(&self) {
        self.ending.cancel();
    }

    /// Ends the session at once.
    pub(super) fn abort(&self) {
        self.end();
        lock(&self.slot).connection.close();
    }

    fn polling_connection(&self) -> Option<Arc<Connection>> {
        let slot = lock(&self.slot);
        Some(Arc::clone(slot.polling.as_ref()?.connection()))
    }

    /// Records that the session has ended.
    pub(super) fn ended(&self) {
        *lock(&self.stage) = Stage::Ended;
        self.closed.cancel();
    }
}

/// Closes a socket when its session is to end, is evicted, or was not accepted in time.
pub(super) async fn watch(session: Arc<EngineSession>, socket: Arc<EngineSocket>) {
    // A WebSocket fails by itself when its connection is closed, see `SocketStream`.
    let polling = session.polling_connection();
    let evicted = OptionFuture::from(polling.as_ref().map(|it| it.closed()));
    let leaves = async {
        tokio::select! {
            () = session.ending.cancelled() => {}
            Some(()) = evicted => {}
            Err(_) = timeout(HANDSHAKE_TIMEOUT, session.accepted.cancelled()) => {
                tracing::debug!("a handshake timed out");
            }
        }
    };
    if session.closed.run_until_cancelled(leaves).await.is_none() {
        return;
    }
    socket.close(DisconnectReason::TransportClose);
    drop(socket);
    if timeout(CLOSE_TIMEOUT, session.closed.cancelled())
        .await
        .is_err()
    {
        lock(&session.slot).connection.close();
    }
}
