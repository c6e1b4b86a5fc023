//! Free space inside the file.
//!
//! A copy-on-write file does not shrink when rows are removed: the space stays free inside the
//! file. redb does not report how much that is, so [`crate::store::Store::measure`] walks through
//! all pages in use, and what is written later is subtracted until the next walk.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Pages that redb needs for itself, and those that the last commits have not freed yet, in bytes.
const OVERHEAD: u64 = 1 << 20;

/// The most bytes of a row beside its record: its key, and its index rows.
const PER_ROW: u64 = 256;

/// The factor by which a row may exceed its bytes: pages are split in halves.
const PER_BYTE: u64 = 3;

/// An estimate of the free space inside the file, which errs on the low side.
#[derive(Debug, Default)]
pub struct FreeSpace {
    /// The estimated bytes written since the start.
    written: AtomicU64,
    /// The value up to which `written` may grow.
    limit: AtomicU64,
    /// The bytes in use that the last walk found.
    used: OnceLock<AtomicU64>,
    measurement_requested: Notify,
}

impl FreeSpace {
    /// Waits until a measurement is requested.
    pub async fn measurement_requested(&self) {
        self.measurement_requested.notified().await;
    }

    /// Returns how many bytes of the file were in use at the last measurement; none before it.
    #[must_use]
    pub fn used(&self) -> Option<u64> {
        Some(self.used.get()?.load(Ordering::Relaxed))
    }

    pub(crate) fn request_measurement(&self) {
        self.measurement_requested.notify_one();
    }

    /// Returns how many bytes can be written.
    pub(crate) fn left(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.written())
    }

    /// Subtracts rows that were written, and the bytes in them.
    pub(crate) fn add_written(&self, rows: u64, bytes: u64) {
        let written = rows * PER_ROW + bytes * PER_BYTE;
        self.written.fetch_add(written, Ordering::Relaxed);
    }

    /// Returns the estimated bytes written since the start.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Stores what a walk found. `written` is the value of [`Self::written`] when the walk began.
    pub(crate) fn set_measured(&self, written: u64, allocated: u64, used: u64) {
        let free = allocated.saturating_sub(used + OVERHEAD);
        self.limit.store(written + free, Ordering::Relaxed);
        self.used
            .get_or_init(AtomicU64::default)
            .store(used, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn writes_during_a_measurement_are_subtracted_too() {
        let space = FreeSpace::default();
        assert_eq!((space.left(), space.used()), (0, None));
        let begun = space.written();
        space.add_written(1, 1000);
        space.set_measured(begun, 12 * MIB, 3 * MIB);
        assert_eq!(space.left(), 8 * MIB - PER_ROW - 1000 * PER_BYTE);
        assert_eq!(space.used(), Some(3 * MIB));
        space.add_written(3 * 1024, 3 * MIB);
        assert_eq!(space.left(), 0);
        space.set_measured(space.written(), 3 * MIB, 3 * MIB);
        assert_eq!(space.left(), 0);
    }
}
