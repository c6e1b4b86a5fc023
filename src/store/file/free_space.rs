//! How much room there is inside the file.
//!
//! A file that copies on write does not become shorter by what is removed from it, so on a full
//! disk the room that a deletion gives is inside the file. redb does not tell how much that is:
//! it takes a walk through all that is in use ([`crate::store::Store::measure`]), and what is written
//! after the walk is taken off, until the next one.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// What redb keeps of pages for itself, and what the last commits have not freed yet.
const OVERHEAD: u64 = 1 << 20;

/// What a row may take beside its record: its key, and its rows in the indexes.
const PER_ROW: u64 = 256;

/// How much more than its bytes a row may take: pages are split in halves.
const PER_BYTE: u64 = 3;

/// The room inside the file, by an estimate that errs on the side of too little.
#[derive(Debug, Default)]
pub struct Space {
    /// All that was written since the start.
    written: AtomicU64,
    /// Up to where `written` may grow.
    limit: AtomicU64,
    /// What the last walk found in use.
    used: OnceLock<AtomicU64>,
    wanted: Notify,
}

impl Space {
    /// Waits until it matters how much room there is.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// How many bytes of the file were in use when that was last measured; none before.
    #[must_use]
    pub fn used(&self) -> Option<u64> {
        Some(self.used.get()?.load(Ordering::Relaxed))
    }

    /// Says that it matters.
    pub(in crate::store) fn want(&self) {
        self.wanted.notify_one();
    }

    /// How many bytes can be written.
    pub(in crate::store) fn left(&self) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.written())
    }

    /// Takes off what was written: rows, and bytes in them.
    pub(in crate::store) fn wrote(&self, rows: u64, bytes: u64) {
        let taken = rows * PER_ROW + bytes * PER_BYTE;
        self.written.fetch_add(taken, Ordering::Relaxed);
    }

    /// All that was written since the start.
    pub(in crate::store) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Takes in what a walk found that began when so much was written.
    pub(in crate::store) fn found(&self, written: u64, allocated: u64, used: u64) {
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
    fn what_is_written_is_taken_off_also_while_the_file_is_walked_through() {
        let space = Space::default();
        assert_eq!((space.left(), space.used()), (0, None));
        let begun = space.written();
        space.wrote(1, 1000);
        space.found(begun, 12 * MIB, 3 * MIB);
        assert_eq!(space.left(), 8 * MIB - PER_ROW - 1000 * PER_BYTE);
        assert_eq!(space.used(), Some(3 * MIB));
        space.wrote(3 * 1024, 3 * MIB);
        assert_eq!(space.left(), 0);
        space.found(space.written(), 3 * MIB, 3 * MIB);
        assert_eq!(space.left(), 0);
    }
}
