//! One connection: its peer, whether it is busy, and its shutdown signals.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio_util::sync::{
    CancellationToken, WaitForCancellationFuture, WaitForCancellationFutureOwned,
};

use super::budget::Budget;

/// Numbers the times at which connections become idle.
static IDLE_COUNTER: AtomicU64 = AtomicU64::new(0);

/// An open connection, or an Engine.IO session by polling.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) id: u64,
    address: Option<IpAddr>,
    /// The memory budget of request bodies.
    pub(crate) body_budget: Budget,
    busy: AtomicUsize,
    /// When it became idle, as a value of [`IDLE_COUNTER`].
    idle_since: AtomicU64,
    /// Cancelled to end it after its requests in flight.
    drain: CancellationToken,
    /// Cancelled to end it immediately.
    close: CancellationToken,
}

/// Keeps a connection busy, so that it is not evicted.
#[derive(Debug)]
pub(crate) struct BusyGuard(Arc<Connection>);

impl Connection {
    pub(super) fn new(
        id: u64,
        address: Option<IpAddr>,
        body_budget: Budget,
        (drain, close): (CancellationToken, CancellationToken),
    ) -> Self {
        Self {
            id,
            address,
            body_budget,
            busy: AtomicUsize::new(0),
            idle_since: AtomicU64::new(next_idle()),
            drain,
            close,
        }
    }

    /// Returns when it became idle, for comparison with others, or `None` while it is busy.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let is_idle = self.busy.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.idle_since.load(Ordering::Relaxed))
    }

    /// Returns the address of its peer, a client or a proxy. `None` over the Unix socket.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Returns whether it came over the Unix socket, so that the peer is the operator.
    pub(crate) fn is_local(&self) -> bool {
        self.address.is_none()
    }

    pub(crate) fn mark_busy(self: &Arc<Self>) -> BusyGuard {
        self.busy.fetch_add(1, Ordering::Relaxed);
        BusyGuard(Arc::clone(self))
    }

    /// Ends it immediately.
    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    /// Waits until [`Self::close`] or [`Connections::close`](super::Connections::close) is called.
    pub(crate) fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.close.cancelled()
    }

    pub(crate) fn closed_owned(&self) -> WaitForCancellationFutureOwned {
        self.close.clone().cancelled_owned()
    }

    /// Waits until [`Connections::drain`](super::Connections::drain) is called.
    pub(crate) fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.drain.cancelled()
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.idle_since.store(next_idle(), Ordering::Relaxed);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

fn next_idle() -> u64 {
    IDLE_COUNTER.fetch_add(1, Ordering::Relaxed)
}
