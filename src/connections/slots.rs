//! The slots of the open connections, with the client that each counts against.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::connection::Connection;

/// All slots are in use, and none of their connections is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyConnections;

#[derive(Debug, Default)]
pub(super) struct Slots {
    next_id: u64,
    by_id: HashMap<u64, Slot>,
    per_client: HashMap<IpAddr, usize>,
    /// The connections whose Engine.IO session is not accepted yet, oldest handshake first.
    handshakes: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Slot {
    connection: Arc<Connection>,
    client: IpAddr,
    /// Its key in [`Slots::handshakes`].
    handshake: Option<u64>,
}

impl Slots {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn count_of(&self, client: IpAddr) -> usize {
        self.per_client.get(&client).copied().unwrap_or(0)
    }

    /// Returns the client that a connection counts against, if it has a slot.
    pub(super) fn client(&self, id: u64) -> Option<IpAddr> {
        self.by_id.get(&id).map(|slot| slot.client)
    }

    /// Inserts a connection, which is created with its id.
    pub(super) fn insert(
        &mut self,
        client: IpAddr,
        connection: impl FnOnce(u64) -> Connection,
    ) -> Arc<Connection> {
        let id = self.next_id();
        let connection = Arc::new(connection(id));
        let slot = Slot {
            connection: Arc::clone(&connection),
            client,
            handshake: None,
        };
        self.by_id.insert(id, slot);
        *self.per_client.entry(client).or_default() += 1;
        connection
    }

    pub(super) fn assign(&mut self, id: u64, client: IpAddr) {
        let Some(slot) = self.by_id.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut slot.client, client);
        *self.per_client.entry(client).or_default() += 1;
        self.decrement(before);
    }

    /// Evicts the connection that has been idle longest, of one client if given.
    pub(super) fn evict_idle(&mut self, client: Option<IpAddr>) -> Result<(), TooManyConnections> {
        let candidates = self
            .by_id
            .iter()
            .filter(|(_, slot)| client.is_none_or(|client| slot.client == client));
        let idle = candidates.filter_map(|(id, slot)| Some((slot.connection.idle_since()?, *id)));
        let (_, id) = idle.min().ok_or(TooManyConnections)?;
        self.evict(id);
        Ok(())
    }

    /// Evicts the oldest handshake if there are `max` or more.
    pub(super) fn limit_handshakes(&mut self, max: usize) {
        if self.handshakes.len() < max {
            return;
        }
        if let Some((_, id)) = self.handshakes.pop_first() {
            self.evict(id);
        }
    }

    pub(super) fn begin_handshake(&mut self, id: u64) {
        let key = self.next_id();
        if let Some(slot) = self.by_id.get_mut(&id) {
            slot.handshake = Some(key);
            self.handshakes.insert(key, id);
        }
    }

    pub(super) fn end_handshake(&mut self, id: u64) {
        let slot = self.by_id.get_mut(&id);
        if let Some(key) = slot.and_then(|slot| slot.handshake.take()) {
            self.handshakes.remove(&key);
        }
    }

    /// Frees a slot, unless its connection was evicted.
    pub(super) fn remove(&mut self, id: u64) -> Option<Arc<Connection>> {
        self.end_handshake(id);
        let slot = self.by_id.remove(&id)?;
        self.decrement(slot.client);
        Some(slot.connection)
    }

    fn evict(&mut self, id: u64) {
        if let Some(connection) = self.remove(id) {
            connection.close();
        }
    }

    fn decrement(&mut self, client: IpAddr) {
        if let Some(count) = self.per_client.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.per_client.remove(&client);
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.per_client.is_empty() && self.handshakes.is_empty()
    }
}
