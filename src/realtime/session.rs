//! One Engine.IO session: what it is counted as, how far it has come, and its end.

use std::future::{pending, poll_fn};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use engineioxide::DisconnectReason;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::flow::{Incoming, Outbox};
use super::hub::EngineSocket;
use super::payload::Sent;
use crate::guard::ClientContext;
use crate::guard::budget::{Exhausted, Reservation};
use crate::guard::connections::{Admission, Connection, Connections, Order, UnderWay};
use crate::guard::identity::{Principal, Unauthorized};

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
    place: Mutex<Place>,
    stage: Mutex<Stage>,
    accepted: CancellationToken,
    /// Cancelled to end it.
    ending: CancellationToken,
    /// Cancelled when it has ended.
    pub(super) closed: CancellationToken,
}

/// What a session is counted as.
#[derive(Debug)]
struct Place {
    connection: Arc<Connection>,
    /// There for a session by polling, which no connection counts.
    admission: Option<Admission>,
    /// There while the session does not give way to others.
    hold: Option<UnderWay>,
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
    /// Another one serves it already.
    Twice,
    /// There are too many connections.
    Crowded,
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
        admission: Admission,
    ) -> Arc<Self> {
        let connection = Arc::clone(&admission.connection);
        Self::new(origin, connections, connection, Some(admission))
    }

    /// A session by a WebSocket, whose connection was counted as an upgraded one.
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
        admission: Option<Admission>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address: origin.address,
            by_headers: origin.by_headers,
            outbox: origin.outbox,
            incoming: origin.incoming,
            connections: Arc::clone(connections),
            place: Mutex::new(Place {
                connection,
                admission,
                hold: None,
            }),
            stage: Mutex::new(Stage::Handshake),
            accepted: CancellationToken::new(),
            ending: CancellationToken::new(),
            closed: CancellationToken::new(),
        })
    }

    /// Has a connection serve the session, which was by polling, and count for it.
    pub(super) fn upgrade(&self, connection: &Arc<Connection>) -> Result<(), NotUpgraded> {
        let mut place = self.place();
        let admission = place.admission.take().ok_or(NotUpgraded::Twice)?;
        let is_handshake = !self.accepted.is_cancelled();
        let counted = self
            .connections
            .upgrade(connection, self.address, is_handshake);
        if counted.is_err() {
            place.admission = Some(admission);
            return Err(NotUpgraded::Crowded);
        }
        place.connection = Arc::clone(connection);
        place.hold = place.hold.take().map(|_| connection.begin());
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
        // With the place held, so that an upgrade sees it or is seen by it.
        let place = self.place();
        self.accepted.cancel();
        self.connections.accept(&place.connection);
        Some(queued)
    }

    /// Whether it is not connected to Socket.IO yet.
    pub(super) fn is_handshake(&self) -> bool {
        matches!(*self.stage(), Stage::Handshake)
    }

    /// Says whether the session is one that does not give way to others.
    pub(super) fn hold(&self, holds: bool) {
        let mut place = self.place();
        if holds == place.hold.is_some() {
            return;
        }
        place.hold = holds.then(|| place.connection.begin());
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
        self.place().connection.tell(Order::Close);
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
            address: self.address,
        }
    }

    /// Ends the session when it is to end, is to give way, or was not accepted in time.
    pub(super) async fn watch(self: Arc<Self>, socket: Arc<EngineSocket>) {
        let polling = self
            .place()
            .admission
            .as_ref()
            .map(|it| Arc::clone(&it.connection));
        let leaves = async {
            tokio::select! {
                () = self.ending.cancelled() => {}
                () = told_to_close(polling) => {}
                () = self.late() => tracing::debug!("a handshake was not completed in time"),
            }
        };
        if self.closed.run_until_cancelled(leaves).await.is_none() {
            return;
        }
        socket.close(DisconnectReason::TransportClose);
        drop(socket);
        if timeout(PARTING, self.closed.cancelled()).await.is_err() {
            self.place().connection.tell(Order::Close);
        }
    }

    /// Returns when the session has not been accepted in time, and else never.
    async fn late(&self) {
        if timeout(HANDSHAKE, self.accepted.cancelled()).await.is_ok() {
            pending::<()>().await;
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // No code panics with the lock held.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // As above.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns when a session by polling is to give way.
async fn told_to_close(polling: Option<Arc<Connection>>) {
    let Some(connection) = polling else {
        return pending().await;
    };
    poll_fn(|cx| match connection.told(cx) {
        Order::Close => Poll::Ready(()),
        Order::Serve | Order::Drain => Poll::Pending,
    })
    .await;
}
