//! When the janitor has to wake, and up to when it can tell what fell due.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::time::Timestamp;

/// The earliest instant at which the janitor has something to do.
#[derive(Debug)]
pub struct NextDeadline {
    next: AtomicI64,
    sooner: Notify,
    batch: Mutex<Batch>,
}

/// The batch that is being written.
#[derive(Debug, Default)]
struct Batch {
    /// When it began; none where there is none.
    began: Option<Timestamp>,
    /// Whether the janitor waits for its end.
    is_awaited: bool,
}

impl NextDeadline {
    pub(in crate::store) fn new() -> Self {
        Self {
            next: AtomicI64::new(i64::MAX),
            sooner: Notify::new(),
            batch: Mutex::default(),
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

    /// The latest time, `now` or before it, up to which all deadlines can be read that there will
    /// ever be. A command sets none that is not to come; but by the time that its batch is on disk
    /// it may have come, and whoever has told what comes after it would never tell it. Where that
    /// holds somebody back, the alarm goes off at the batch's end.
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

    /// Notes that a batch begins whose commands are not carried out before this time. It ends when
    /// what is returned is dropped: when all that it wrote can be read, or never will be.
    pub(in crate::store) fn begin(&self, began: Timestamp) -> Writing<'_> {
        self.batch().began = Some(began);
        Writing(self)
    }

    /// Notes that a deadline was written.
    pub(in crate::store) fn note(&self, deadline: Timestamp) {
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

/// A batch that is being written.
#[derive(Debug)]
pub(in crate::store) struct Writing<'a>(&'a NextDeadline);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut *self.0.batch());
        if batch.is_awaited {
            self.0.sooner.notify_one();
        }
    }
}
