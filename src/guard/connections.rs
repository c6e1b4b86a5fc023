//! The open connections and Engine.IO sessions: how many there may be, and which one gives way.
//!
//! An Engine.IO session by polling belongs to no connection, so it is counted as one itself. A
//! session by WebSocket is counted by the connection that was upgraded for it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use super::address::{TrustedProxies, client_key};
use super::budget::Budget;

/// How many connections that gave way may still be about to end.
const MAX_LEAVING: usize = 8;

/// The share of all connections that one address may have, and that handshakes may have.
const SHARE: usize = 4;

/// How many bytes of request bodies may be held at once, over all connections.
const MAX_BODIES: usize = 128 * 1024 * 1024;

/// The open connections.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    max_per_address: usize,
    max_handshakes: usize,
    /// Who brings many clients from one address.
    proxies: TrustedProxies,
    bodies: Budget,
    /// How often a connection has become idle.
    idled: Arc<AtomicU64>,
    open: Mutex<Open>,
    /// How many there really are, with those that gave way and have not ended yet.
    admitted: AtomicUsize,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    slots: HashMap<u64, Slot>,
    per_client: HashMap<IpAddr, usize>,
    /// The connections whose Engine.IO session has not been accepted, oldest handshake first.
    handshakes: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Slot {
    connection: Arc<Connection>,
    client: IpAddr,
    /// Its place in [`Open::handshakes`].
    handshake: Option<u64>,
}

/// One open connection, or an Engine.IO session that has none of its own.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    address: IpAddr,
    /// Requests under way.
    busy: AtomicUsize,
    /// Since when there has been none, in the order of becoming idle: that takes no clock.
    idle_since: AtomicU64,
    idled: Arc<AtomicU64>,
    bodies: Budget,
    /// What it is told, as an [`Order`], and whom to wake for it.
    order: AtomicU8,
    served_by: AtomicWaker,
    read_by: AtomicWaker,
    written_by: AtomicWaker,
}

/// What a connection is told from without. What stands further down goes further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Nothing: it goes on.
    Serve,
    /// To end once what is under way is answered.
    Drain,
    /// To end at once.
    Close,
}

/// Keeps a connection counted while it lives.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// Keeps a connection from giving way while a request is under way.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Connection>);

/// There are too many connections, and none that could give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Connections {
    /// At most `max` connections.
    pub(crate) fn new(max: usize, proxies: TrustedProxies) -> Self {
        Self {
            max,
            max_per_address: (max / SHARE).max(1),
            max_handshakes: (max / SHARE).max(1),
            proxies,
            bodies: Budget::new(MAX_BODIES),
            idled: Arc::default(),
            open: Mutex::default(),
            admitted: AtomicUsize::new(0),
            ended: Notify::new(),
        }
    }

    /// Waits until nearly all that gave way have ended: until then each holds memory, and most of
    /// them one of the files that the system lets us open.
    pub(crate) async fn settled(&self) {
        let most = self.max.saturating_add(MAX_LEAVING);
        while self.admitted.load(Ordering::Acquire) > most {
            self.ended.notified().await;
        }
        // Others may wait for the same.
        self.ended.notify_one();
    }

    /// Counts a new connection. Where there are too many, the one that has been idle longest gives
    /// way; where none is idle, the new one is refused.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Crowded> {
        let mut open = self.lock();
        self.make_room(&mut open, address)?;
        Ok(self.open(&mut open, address))
    }

    /// Counts a new Engine.IO session by polling, as a connection that waits to be accepted.
    pub(crate) fn admit_handshake(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Crowded> {
        let mut open = self.lock();
        open.limit_handshakes(self.max_handshakes);
        self.make_room(&mut open, address)?;
        let admission = self.open(&mut open, address);
        open.begin_handshake(admission.connection.id);
        Ok(admission)
    }

    /// Counts a connection that is upgraded for an Engine.IO session to its client's address,
    /// which a proxy may stand before. It waits to be accepted from then on if it `is_handshake`.
    pub(crate) fn upgrade(
        &self,
        connection: &Connection,
        address: IpAddr,
        is_handshake: bool,
    ) -> Result<(), Crowded> {
        let mut open = self.lock();
        let client = client_key(address);
        let slot = open.slots.get(&connection.id).ok_or(Crowded)?;
        if slot.client != client {
            self.limit_client(&mut open, address)?;
            open.assign(connection.id, client);
        }
        if is_handshake {
            open.limit_handshakes(self.max_handshakes);
            open.begin_handshake(connection.id);
        }
        Ok(())
    }

    /// Ends a connection's time as a handshake: its Engine.IO session was accepted.
    pub(crate) fn accept(&self, connection: &Connection) {
        self.lock().end_handshake(connection.id);
    }

    /// Tells all connections that there are.
    pub(crate) fn tell(&self, order: Order) {
        for slot in self.lock().slots.values() {
            slot.connection.tell(order);
        }
    }

    fn make_room(&self, open: &mut Open, address: IpAddr) -> Result<(), Crowded> {
        if self.limit_client(open, address)? || open.slots.len() < self.max {
            return Ok(());
        }
        open.evict(|_| true)
    }

    /// Has a connection of a client give way where that has as many as it may. Returns whether one
    /// did.
    fn limit_client(&self, open: &mut Open, address: IpAddr) -> Result<bool, Crowded> {
        let address = address.to_canonical();
        let client = client_key(address);
        let count = open.per_client.get(&client).copied().unwrap_or(0);
        let is_exempt = address.is_loopback() || self.proxies.contains(address);
        if is_exempt || count < self.max_per_address {
            return Ok(false);
        }
        open.evict(|slot| slot.client == client)?;
        Ok(true)
    }

    fn open(self: &Arc<Self>, open: &mut Open, address: IpAddr) -> Admission {
        let id = open.next_id();
        let connection = Arc::new(Connection {
            id,
            address: address.to_canonical(),
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(self.idled.fetch_add(1, Ordering::Relaxed)),
            idled: Arc::clone(&self.idled),
            bodies: self.bodies.clone(),
            order: AtomicU8::new(Order::Serve as u8),
            served_by: AtomicWaker::new(),
            read_by: AtomicWaker::new(),
            written_by: AtomicWaker::new(),
        });
        open.insert(&connection);
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Admission {
            connection,
            connections: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Closes the longest idle connection of some.
    fn evict(&mut self, of: impl Fn(&Slot) -> bool) -> Result<(), Crowded> {
        let idle = self
            .slots
            .values()
            .filter(|slot| slot.connection.busy.load(Ordering::Relaxed) == 0 && of(slot))
            .map(|slot| &slot.connection);
        let longest = idle.min_by_key(|it| (it.idle_since.load(Ordering::Relaxed), it.id));
        let id = longest.ok_or(Crowded)?.id;
        self.close(id);
        Ok(())
    }

    /// Closes the oldest handshake where there are as many as there may be.
    fn limit_handshakes(&mut self, max: usize) {
        if self.handshakes.len() < max {
            return;
        }
        if let Some((_, id)) = self.handshakes.pop_first() {
            self.close(id);
        }
    }

    fn begin_handshake(&mut self, id: u64) {
        let place = self.next_id();
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.handshake = Some(place);
            self.handshakes.insert(place, id);
        }
    }

    fn end_handshake(&mut self, id: u64) {
        let slot = self.slots.get_mut(&id);
        if let Some(place) = slot.and_then(|slot| slot.handshake.take()) {
            self.handshakes.remove(&place);
        }
    }

    fn insert(&mut self, connection: &Arc<Connection>) {
        let client = client_key(connection.address);
        let slot = Slot {
            connection: Arc::clone(connection),
            client,
            handshake: None,
        };
        self.slots.insert(connection.id, slot);
        *self.per_client.entry(client).or_default() += 1;
    }

    /// Counts a connection to another client.
    fn assign(&mut self, id: u64, client: IpAddr) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut slot.client, client);
        *self.per_client.entry(client).or_default() += 1;
        self.discount(before);
    }

    fn close(&mut self, id: u64) {
        if let Some(slot) = self.slots.get(&id) {
            slot.connection.tell(Order::Close);
        }
        self.remove(id);
    }

    fn remove(&mut self, id: u64) {
        self.end_handshake(id);
        if let Some(slot) = self.slots.remove(&id) {
            self.discount(slot.client);
        }
    }

    fn discount(&mut self, client: IpAddr) {
        if let Some(count) = self.per_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&client);
            }
        }
    }
}

impl Connection {
    /// Where it comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// What the bodies of requests are counted against.
    pub(crate) fn bodies(&self) -> &Budget {
        &self.bodies
    }

    /// Notes that a request has arrived.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.busy.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Tells the connection what to do. It does not go back on what it was told before.
    pub(crate) fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        for waker in [&self.served_by, &self.read_by, &self.written_by] {
            waker.wake();
        }
    }

    /// What the connection was told. Whoever serves it is woken by what it is told next.
    pub(crate) fn told(&self, cx: &Context<'_>) -> Order {
        // First the waker: what is told after that wakes, what was told before is seen.
        self.served_by.register(cx.waker());
        self.order()
    }

    /// As [`Self::told`], for the task that reads from a connection after its upgrade.
    pub(crate) fn told_reader(&self, cx: &Context<'_>) -> Order {
        self.read_by.register(cx.waker());
        self.order()
    }

    /// As [`Self::told`], for the task that writes to a connection after its upgrade.
    pub(crate) fn told_writer(&self, cx: &Context<'_>) -> Order {
        self.written_by.register(cx.waker());
        self.order()
    }

    /// Lets go of whoever serves it, who has ended. A socket's connection is still counted then.
    pub(crate) fn served(&self) {
        self.served_by.take();
    }

    fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            order if order == Order::Serve as u8 => Order::Serve,
            order if order == Order::Drain as u8 => Order::Drain,
            _ => Order::Close,
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let since = self.0.idled.fetch_add(1, Ordering::Relaxed);
        self.0.idle_since.store(since, Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connections.lock().remove(self.connection.id);
        self.connections.admitted.fetch_sub(1, Ordering::Release);
        self.connections.ended.notify_one();
    }
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
