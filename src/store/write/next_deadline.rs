//! When the janitor has to wake, and up to which time the deadlines are final.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::time::Timestamp;

/// The earliest time at which the janitor has something to do.
#[derive(Debug)]
pub struct NextDeadline {
    next: AtomicI64,
    sooner: Notify,
    batch: Mutex<Batch>,
}

/// The batch that is being written.
#[derive(Debug, Default)]
struct Batch {
    /// When it began; none between batches.
    began: Option<Timestamp>,
    /// Whether the janitor waits for its end.
    is_awaited: bool,
}

impl NextDeadline {
    pub(crate) fn new() -> Self {
        Self {
            next: AtomicI64::new(i64::MAX),
            sooner: Notify::new(),
            batch: Mutex::default(),
        }
    }

    /// Stores when the janitor will wake.
    pub fn set(&self, next: Timestamp) {
        self.next.store(next.0, Ordering::SeqCst);
    }

    /// Waits until an earlier deadline is written.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Returns the latest time, at most `now`, up to which the deadlines are final. Commands set
    /// only deadlines in the future, but one of a batch that is still being written may have passed
    /// by the time the batch is on disk, and an event for it would be lost if later deadlines had
    /// been processed already. If a batch delays the janitor, the end of the batch wakes it.
    pub fn settled(&self, now: Timestamp) -> Timestamp {
        let mut batch = self.batch();
        match batch.began.filter(|began| *began < now) {
            None => now,
            Some(began) => {
                batch.is_awaited = true;
                began
            }
        }
    }

    /// Records that a batch begins whose commands run no earlier than `began`. It ends when the
    /// returned guard is dropped: when its writes can be read, or never will be.
    pub(crate) fn begin(&self, began: Timestamp) -> BatchGuard<'_> {
        self.batch().began = Some(began);
        BatchGuard(self)
    }

    /// Records that a deadline was written.
    pub(crate) fn add(&self, deadline: Timestamp) {
        let next = self.next.fetch_min(deadline.0, Ordering::SeqCst);
        if deadline.0 < next {
            self.sooner.notify_one();
        }
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        // No code panics with the lock held.
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the batch when it is dropped.
#[derive(Debug)]
pub(crate) struct BatchGuard<'a>(&'a NextDeadline);

impl Drop for BatchGuard<'_> {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut *self.0.batch());
        if batch.is_awaited {
            self.0.sooner.notify_one();
        }
    }
}
