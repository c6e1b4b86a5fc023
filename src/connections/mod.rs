//! The open connections: how many there may be, which one gives way, and how they are closed.
//!
//! The life of a connection:
//!
//! 1. [`Connections::admit`] gives it a slot. Where the client has no slot left, or nobody has, the
//!    connection that has been idle longest is evicted; where none is idle, the new connection is
//!    refused. A client is an address, or a /64 network of IPv6 addresses.
//! 2. Its [`ConnectionGuard`] moves with the stream, also when that becomes a WebSocket. Dropping
//!    the guard frees the slot.
//! 3. A [`BusyGuard`] marks it as busy: from a request's head to the last byte of the response, and
//!    while a socket is in a room. Busy connections are not evicted.
//! 4. It ends by itself, or by a shutdown signal, in increasing severity: [`Connections::drain`]
//!    lets requests in flight finish, [`Connection::close`] ends the connection at once.
//!
//! An Engine.IO session by polling belongs to no connection and has a slot of its own. A session by
//! WebSocket uses the slot of its connection, see [`Connections::upgrade`]. Sessions that are not
//! accepted yet are handshakes, whose number is limited as well: the oldest is evicted.

pub(crate) mod budget;
mod connection;
mod slots;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::budget::Budget;
pub(crate) use self::connection::{BusyGuard, Connection};
use self::slots::Slots;
use crate::auth::address::{TrustedProxies, client_key};

/// How many evicted connections may not have ended yet.
const MAX_EVICTED: usize = 8;

/// The share of all connections that one client may have, and that handshakes may have.
const SHARE: usize = 4;

/// How many bytes of request bodies may be held at once, over all connections.
const MAX_BODIES: usize = 128 * 1024 * 1024;

/// What a connection of the Unix socket counts against: as for loopback, there is no limit per client.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    max_per_client: usize,
    max_handshakes: usize,
    /// Addresses that bring many clients.
    proxies: TrustedProxies,
    body_budget: Budget,
    slots: Mutex<Slots>,
    /// One for each connection that has not ended, evicted ones included: until they end, they hold
    /// memory and most of them a file descriptor.
    permits: Arc<Semaphore>,
    drain: CancellationToken,
    close: CancellationToken,
}

/// Holds the slot of a connection.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    connection: Arc<Connection>,
    connections: Arc<Connections>,
    _permit: OwnedSemaphorePermit,
}

/// There are too many connections, and none of them is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyConnections;

impl Connections {
    /// Allows at most `max` connections.
    pub(crate) fn new(max: usize, proxies: TrustedProxies) -> Self {
        let permits = max.saturating_add(MAX_EVICTED).min(Semaphore::MAX_PERMITS);
        Self {
            max,
            max_per_client: (max / SHARE).max(1),
            max_handshakes: (max / SHARE).max(1),
            proxies,
            body_budget: Budget::new(MAX_BODIES),
            slots: Mutex::default(),
            permits: Arc::new(Semaphore::new(permits)),
            drain: CancellationToken::new(),
            close: CancellationToken::new(),
        }
    }

    /// Gives a new connection a slot, and evicts another one for it if necessary. Waits while many
    /// evicted connections have not ended. It has no address if it came over the Unix socket.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        address: impl Into<Option<IpAddr>>,
    ) -> Result<ConnectionGuard, TooManyConnections> {
        let address = address.into();
        let permit = self.permit().await?;
        let mut slots = self.lock();
        self.make_room(&mut slots, address.unwrap_or(LOCAL))?;
        Ok(self.open(&mut slots, address, permit))
    }

    /// Gives a new Engine.IO session by polling a slot, and counts it as a handshake.
    pub(crate) async fn admit_handshake(
        self: &Arc<Self>,
        address: IpAddr,
    ) -> Result<ConnectionGuard, TooManyConnections> {
        let permit = self.permit().await?;
        let mut slots = self.lock();
        slots.limit_handshakes(self.max_handshakes);
        self.make_room(&mut slots, address)?;
        let guard = self.open(&mut slots, Some(address), permit);
        slots.begin_handshake(guard.connection.id());
        Ok(guard)
    }

    /// Counts a connection that becomes a WebSocket against the client at this address, which may
    /// be behind a proxy, and as a handshake if it `is_handshake`.
    pub(crate) fn upgrade(
        &self,
        connection: &Connection,
        address: IpAddr,
        is_handshake: bool,
    ) -> Result<(), TooManyConnections> {
        let mut slots = self.lock();
        let client = client_key(address);
        let before = slots.client(connection.id()).ok_or(TooManyConnections)?;
        if before != client {
            self.limit_client(&mut slots, address)?;
            slots.assign(connection.id(), client);
        }
        if is_handshake {
            slots.limit_handshakes(self.max_handshakes);
            slots.begin_handshake(connection.id());
        }
        Ok(())
    }

    /// Ends a handshake: the Engine.IO session was accepted.
    pub(crate) fn accept(&self, connection: &Connection) {
        self.lock().end_handshake(connection.id());
    }

    /// Lets all connections end once their requests in flight are answered.
    pub(crate) fn drain(&self) {
        self.drain.cancel();
    }

    /// Ends all connections at once.
    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, TooManyConnections> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        // The semaphore is never closed.
        permit.map_err(|_| TooManyConnections)
    }

    fn make_room(&self, slots: &mut Slots, address: IpAddr) -> Result<(), TooManyConnections> {
        if self.limit_client(slots, address)? || slots.len() < self.max {
            return Ok(());
        }
        slots.evict_idle(None)
    }

    /// Evicts a connection of a client that has as many as it may. Returns whether it did.
    fn limit_client(&self, slots: &mut Slots, address: IpAddr) -> Result<bool, TooManyConnections> {
        let address = address.to_canonical();
        let client = client_key(address);
        let is_exempt = address.is_loopback() || self.proxies.contains(address);
        if is_exempt || slots.count_of(client) < self.max_per_client {
            return Ok(false);
        }
        slots.evict_idle(Some(client))?;
        Ok(true)
    }

    fn open(
        self: &Arc<Self>,
        slots: &mut Slots,
        address: Option<IpAddr>,
        permit: OwnedSemaphorePermit,
    ) -> ConnectionGuard {
        let address = address.map(|address| address.to_canonical());
        let client = client_key(address.unwrap_or(LOCAL));
        let connection = slots.insert(client, |id| {
            let body_budget = self.body_budget.clone();
            let signals = (self.drain.clone(), self.close.child_token());
            Connection::new(id, address, body_budget, signals)
        });
        ConnectionGuard {
            connection,
            connections: Arc::clone(self),
            _permit: permit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // No code panics with the lock held.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionGuard {
    /// The connection.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.lock().remove(self.connection.id());
    }
}

#[cfg(test)]
mod tests;
