//! When the janitor has to wake.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

use crate::domain::time::Timestamp;

/// The earliest instant at which the janitor has something to do.
#[derive(Debug)]
pub struct Alarm {
    next: AtomicI64,
    sooner: Notify,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self {
            next: AtomicI64::new(i64::MAX),
            sooner: Notify::new(),
        }
    }

    /// Says for when the janitor has set it.
    pub fn set(&self, next: Timestamp) {
        self.next.store(next.0, Ordering::SeqCst);
    }

    /// Waits until a deadline was written that comes before it.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Notes that a deadline was written.
    pub(super) fn note(&self, deadline: Timestamp) {
        let next = self.next.fetch_min(deadline.0, Ordering::SeqCst);
        if deadline.0 < next {
            self.sooner.notify_one();
        }
    }
}
