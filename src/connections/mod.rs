//! The open connections: their limits, eviction and shutdown.
//!
//! The life of a connection:
//!
//! 1. [`Connections::admit`] gives it a slot. If its client or the server has no slot left, the
//!    connection that has been idle longest is evicted; if none is idle, the new one is refused.
//!    A client is an address, or a /64 network of IPv6 addresses.
//! 2. Its [`ConnectionGuard`] moves with the stream, also into a WebSocket. Dropping it frees the
//!    slot.
//! 3. A [`BusyGuard`] marks it as busy: from a request's head to the last byte of the response, and
//!    while a socket is in a room. Busy connections are not evicted.
//! 4. It ends by itself or by a shutdown signal: [`Connections::drain`] lets requests in flight
//!    finish, [`Connection::close`] ends it immediately.
//!
//! An Engine.IO session by polling has its own slot. One by WebSocket uses that of its connection,
//! see [`Connections::upgrade`]. Sessions that are not accepted yet are handshakes. Their number is
//! limited too: the oldest is evicted.

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
pub(crate) use self::slots::TooManyConnections;
use crate::auth::address::{TrustedProxies, client_key};

/// The maximum number of evicted connections that have not ended yet.
const MAX_EVICTED: usize = 8;

/// The divisor of the limit that gives the limits per client and of handshakes.
const SHARE: usize = 4;

/// The maximum size of the request bodies of all connections, in bytes.
const MAX_BODIES: usize = 128 * 1024 * 1024;

/// The client of connections of the Unix socket. Like loopback, it has no limit.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    max_per_client: usize,
    max_handshakes: usize,
    /// Addresses shared by many clients, which have no limit of their own.
    proxies: TrustedProxies,
    body_budget: Budget,
    slots: Mutex<Slots>,
    /// One for each connection that has not ended, including evicted ones, which use resources.
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

impl Connections {
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

    /// Gives a new connection a slot, and evicts another one if necessary. Waits while too many
    /// evicted connections have not ended. Connections of the Unix socket have no address.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        address: impl Into<Option<IpAddr>>,
    ) -> Result<ConnectionGuard, TooManyConnections> {
        let address = address.into();
        let permit = self.permit().await?;
        let mut slots = self.lock();
        self.reserve_slot(&mut slots, address.unwrap_or(LOCAL))?;
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
        self.reserve_slot(&mut slots, address)?;
        let guard = self.open(&mut slots, Some(address), permit);
        slots.begin_handshake(guard.connection.id);
        Ok(guard)
    }

    /// Counts a connection that becomes a WebSocket against this client, which may be behind a
    /// proxy, and as a handshake if `is_handshake`.
    pub(crate) fn upgrade(
        &self,
        connection: &Connection,
        address: IpAddr,
        is_handshake: bool,
    ) -> Result<(), TooManyConnections> {
        let mut slots = self.lock();
        let client = client_key(address);
        let before = slots.client(connection.id).ok_or(TooManyConnections)?;
        if before != client {
            self.limit_client(&mut slots, address)?;
            slots.assign(connection.id, client);
        }
        if is_handshake {
            slots.limit_handshakes(self.max_handshakes);
            slots.begin_handshake(connection.id);
        }
        Ok(())
    }

    /// Ends a handshake, since the Engine.IO session was accepted.
    pub(crate) fn accept(&self, connection: &Connection) {
        self.lock().end_handshake(connection.id);
    }

    /// Ends all connections after their requests in flight.
    pub(crate) fn drain(&self) {
        self.drain.cancel();
    }

    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, TooManyConnections> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        // The semaphore is never closed.
        permit.map_err(|_| TooManyConnections)
    }

    fn reserve_slot(&self, slots: &mut Slots, address: IpAddr) -> Result<(), TooManyConnections> {
        if self.limit_client(slots, address)? || slots.len() < self.max {
            return Ok(());
        }
        slots.evict_idle(None)
    }

    /// Evicts a connection of a client that is at its limit. Returns whether it did.
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
        // No code panics while it holds the lock.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionGuard {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.lock().remove(self.connection.id);
    }
}

#[cfg(test)]
mod tests;
