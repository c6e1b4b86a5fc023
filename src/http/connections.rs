//! The connections: how many there may be, and which one gives way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::guard::address::TrustedProxies;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// Who brings many clients from one address.
    proxies: TrustedProxies,
    started: Instant,
    cut_off: CancellationToken,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    connections: HashMap<u64, Arc<Connection>>,
    per_address: HashMap<IpAddr, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    address: IpAddr,
    /// Requests under way.
    busy: AtomicUsize,
    /// Since when there has been none, in milliseconds since the server's start.
    idle_since: AtomicU64,
    started: Instant,
    closed: CancellationToken,
}

/// Keeps a connection counted while it lives.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// Keeps a connection from giving way while a request is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Connection>);

impl Connections {
    /// At most `max` connections, all of which `cut_off` closes at once.
    pub(super) fn new(max: usize, proxies: TrustedProxies, cut_off: CancellationToken) -> Self {
        Self {
            max,
            max_per_address: (max / 4).max(1),
            proxies,
            started: Instant::now(),
            cut_off,
            open: Mutex::default(),
        }
    }

    /// Counts a new connection in. Where there are too many, the one that has been idle longest
    /// gives way; where none is idle, the new one is turned away.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let address = address.to_canonical();
        let mut open = self.lock();
        let of_address = open.per_address.get(&address).copied().unwrap_or(0);
        let is_exempt = address.is_loopback() || self.proxies.contains(address);
        if !is_exempt && of_address >= self.max_per_address {
            open.evict(|connection| connection.address == address)?;
        } else if open.connections.len() >= self.max {
            open.evict(|_| true)?;
        }
        let id = open.next_id;
        open.next_id += 1;
        let connection = Arc::new(Connection {
            id,
            address,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(millis_since(self.started)),
            started: self.started,
            closed: self.cut_off.child_token(),
        });
        open.connections.insert(id, Arc::clone(&connection));
        *open.per_address.entry(address).or_default() += 1;
        drop(open);
        Some(Admission {
            connection,
            connections: Arc::clone(self),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the longest idle connection of some; none where none of them is idle.
    fn evict(&mut self, of: impl Fn(&Connection) -> bool) -> Option<()> {
        let idle = self
            .connections
            .values()
            .filter(|connection| connection.busy.load(Ordering::Relaxed) == 0 && of(connection));
        let longest = idle.min_by_key(|it| (it.idle_since.load(Ordering::Relaxed), it.id))?;
        longest.close();
        let id = longest.id;
        self.remove(id);
        Some(())
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(count) = self.per_address.get_mut(&connection.address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&connection.address);
            }
        }
    }
}

impl Connection {
    /// Where it comes from.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Notes that a request has arrived.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        self.busy.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Closes the connection at once.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Waits until the connection is to be closed at once.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl UnderWay {
    /// Keeps the connection from giving way, whatever becomes of this request.
    pub(super) fn for_ever(&self) {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0
            .idle_since
            .store(millis_since(self.0.started), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connections.lock().remove(self.connection.id);
    }
}

fn millis_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn at_the_limit_the_longest_idle_connection_gives_way() {
        let connections = Arc::new(Connections::new(
            2,
            TrustedProxies::default(),
            CancellationToken::new(),
        ));
        let first = connections.admit(address(1)).unwrap();
        let second = connections.admit(address(2)).unwrap();
        let request = first.connection.begin();
        let third = connections.admit(address(3)).unwrap();
        assert!(
            !first.connection.closed.is_cancelled(),
            "it has a request under way"
        );
        assert!(second.connection.closed.is_cancelled());
        let _third = third.connection.begin();
        assert!(connections.admit(address(4)).is_none(), "all are busy");
        drop(request);
        assert!(connections.admit(address(4)).is_some());
        assert!(first.connection.closed.is_cancelled());
    }

    #[test]
    fn an_address_has_a_quarter_of_the_connections_at_most_but_for_loopback() {
        let connections = Arc::new(Connections::new(
            8,
            TrustedProxies::parse("10.0.0.9").unwrap(),
            CancellationToken::new(),
        ));
        let open: Vec<_> = (0..3)
            .map(|_| connections.admit(address(1)).unwrap())
            .collect();
        assert!(
            open[0].connection.closed.is_cancelled(),
            "its own longest idle one gives way"
        );
        assert!(!open[1].connection.closed.is_cancelled());
        let local: Vec<_> = (0..6)
            .map(|_| connections.admit(IpAddr::from([127, 0, 0, 1])).unwrap())
            .collect();
        assert!(local.iter().all(|it| !it.connection.closed.is_cancelled()));
        let proxied: Vec<_> = (0..4)
            .map(|_| connections.admit(address(9)).unwrap())
            .collect();
        assert!(
            proxied
                .iter()
                .all(|it| !it.connection.closed.is_cancelled())
        );
        drop((open, local, proxied));
        assert!(connections.lock().per_address.is_empty());
    }
}
