//! The connections: how many there may be, and which one gives way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::guard::address::TrustedProxies;

/// How many connections that gave way may still be about to end.
const MAX_LEAVING: usize = 8;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    /// Who brings many clients from one address.
    proxies: TrustedProxies,
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
    /// Since when there has been none, in the order of becoming idle: that takes no clock.
    idle_since: AtomicU64,
    idled: Arc<AtomicU64>,
    /// What it is told, as an [`Order`], and whom to wake for it.
    order: AtomicU8,
    served_by: AtomicWaker,
}

/// What a connection is told from without. What stands further down goes further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Order {
    /// Nothing: it goes on.
    Serve,
    /// To end once what is under way is answered.
    Drain,
    /// To end at once.
    Close,
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
    /// At most `max` connections.
    pub(super) fn new(max: usize, proxies: TrustedProxies) -> Self {
        Self {
            max,
            max_per_address: (max / 4).max(1),
            proxies,
            idled: Arc::default(),
            open: Mutex::default(),
            admitted: AtomicUsize::new(0),
            ended: Notify::new(),
        }
    }

    /// Waits until nearly all that gave way have ended: until then each holds one of the files that
    /// the system lets us open.
    pub(super) async fn settled(&self) {
        let most = self.max.saturating_add(MAX_LEAVING);
        while self.admitted.load(Ordering::Acquire) > most {
            self.ended.notified().await;
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
            idle_since: AtomicU64::new(self.idled.fetch_add(1, Ordering::Relaxed)),
            idled: Arc::clone(&self.idled),
            order: AtomicU8::new(Order::Serve as u8),
            served_by: AtomicWaker::new(),
        });
        open.connections.insert(id, Arc::clone(&connection));
        *open.per_address.entry(address).or_default() += 1;
        drop(open);
        self.admitted.fetch_add(1, Ordering::Relaxed);
        Some(Admission {
            connection,
            connections: Arc::clone(self),
        })
    }

    /// Tells all connections that there are.
    pub(super) fn tell(&self, order: Order) {
        let open = self.lock();
        for connection in open.connections.values() {
            connection.tell(order);
        }
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
        longest.tell(Order::Close);
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

    /// Tells the connection what to do. It does not go back on what it was told before.
    pub(super) fn tell(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        self.served_by.wake();
    }

    /// What the connection was told. Whoever serves it is woken by what it is told next.
    pub(super) fn told(&self, cx: &Context<'_>) -> Order {
        // First the waker: what is told after that wakes, what was told before is seen.
        self.served_by.register(cx.waker());
        self.order()
    }

    /// Lets go of whoever serves it, who has ended. A socket's connection is still counted then.
    pub(super) fn served(&self) {
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

impl UnderWay {
    /// Keeps the connection from giving way, whatever becomes of this request.
    pub(super) fn for_ever(&self) {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
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
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    impl Connection {
        fn is_closed(&self) -> bool {
            self.order() == Order::Close
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn at_the_limit_the_longest_idle_connection_gives_way() {
        let connections = Arc::new(Connections::new(2, TrustedProxies::default()));
        let first = connections.admit(address(1)).unwrap();
        let second = connections.admit(address(2)).unwrap();
        let request = first.connection.begin();
        let third = connections.admit(address(3)).unwrap();
        assert!(!first.connection.is_closed(), "it has a request under way");
        assert!(second.connection.is_closed());
        let _third = third.connection.begin();
        assert!(connections.admit(address(4)).is_none(), "all are busy");
        drop(request);
        assert!(connections.admit(address(4)).is_some());
        assert!(first.connection.is_closed());
    }

    #[tokio::test]
    async fn a_crowd_is_admitted_no_faster_than_those_that_give_way_end() {
        let connections = Arc::new(Connections::new(2, TrustedProxies::default()));
        let admit = || connections.admit(IpAddr::from([127, 0, 0, 1])).unwrap();
        let mut open: Vec<_> = (0..=2 + MAX_LEAVING).map(|_| admit()).collect();
        let waiting = Arc::clone(&connections);
        let waiting = tokio::spawn(async move { waiting.settled().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        open.pop();
        waiting.await.unwrap();
        connections.settled().await;
    }

    #[test]
    fn an_address_has_a_quarter_of_the_connections_at_most_but_for_loopback() {
        let connections = Arc::new(Connections::new(
            8,
            TrustedProxies::parse("10.0.0.9").unwrap(),
        ));
        let open: Vec<_> = (0..3)
            .map(|_| connections.admit(address(1)).unwrap())
            .collect();
        assert!(
            open[0].connection.is_closed(),
            "its own longest idle one gives way"
        );
        assert!(!open[1].connection.is_closed());
        let local: Vec<_> = (0..6)
            .map(|_| connections.admit(IpAddr::from([127, 0, 0, 1])).unwrap())
            .collect();
        assert!(local.iter().all(|it| !it.connection.is_closed()));
        let proxied: Vec<_> = (0..4)
            .map(|_| connections.admit(address(9)).unwrap())
            .collect();
        assert!(proxied.iter().all(|it| !it.connection.is_closed()));
        drop((open, local, proxied));
        assert!(connections.lock().per_address.is_empty());
    }

    #[test]
    fn a_connection_is_woken_by_what_it_is_told_and_does_not_go_back_on_it() {
        let connections = Arc::new(Connections::new(1, TrustedProxies::default()));
        let open = connections.admit(address(1)).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Arc::clone(&woken).into();
        let cx = Context::from_waker(&waker);
        assert_eq!(open.connection.told(&cx), Order::Serve);
        for (order, told) in [
            (Order::Drain, Order::Drain),
            (Order::Close, Order::Close),
            (Order::Drain, Order::Close),
        ] {
            connections.tell(order);
            assert!(woken.0.swap(false, Ordering::Relaxed), "{order:?}");
            assert_eq!(open.connection.told(&cx), told);
        }
    }
}
