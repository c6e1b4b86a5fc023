//! What the store knows of its own condition, for health.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use crate::domain::time::Timestamp;

/// What keeps a store from being sound or from taking writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// The last commit failed; it is tried again every second.
    pub commit_failed: bool,
    /// There is no free space for new data.
    pub no_space: bool,
    /// The open file is not the one at its path.
    pub file_replaced: bool,
    /// How many sessions have records that cannot be decoded, as far as they were met.
    pub undecodable_sessions: u64,
    /// How many faults the last complete verification found in pages, index rows and counters.
    pub damaged_pages: u64,
}

impl StoreHealth {
    /// Whether writes are taken, as far as is known.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !(self.commit_failed || self.no_space || self.file_replaced)
    }
}

/// The last complete verification of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// When it ended.
    pub at: Timestamp,
    /// How many faults it found in pages, index rows and counters. Of damaged pages redb says no
    /// more than that there are some, so these count as one.
    pub damaged_pages: u64,
}

/// The last backup that the server made and that was fetched to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastBackup {
    /// When that was.
    pub at: Timestamp,
    /// How long it is.
    pub bytes: u64,
}

/// The parts of the condition, each written by whoever finds out.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) commit_failed: Flag,
    pub(super) no_space: Flag,
    pub(super) file_replaced: Flag,
    damaged_pages: AtomicU64,
    verified_at: AtomicI64,
}

#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns what it was before.
    pub(super) fn set(&self, value: bool) -> bool {
        self.0.swap(value, Ordering::Relaxed)
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            commit_failed: Flag::default(),
            no_space: Flag::default(),
            file_replaced: Flag::default(),
            damaged_pages: AtomicU64::new(0),
            verified_at: AtomicI64::new(Timestamp::MIN.0),
        }
    }
}

impl Condition {
    pub(super) fn set_verified(&self, verified: Verified) {
        self.damaged_pages
            .store(verified.damaged_pages, Ordering::Relaxed);
        self.verified_at.store(verified.at.0, Ordering::Relaxed);
    }

    pub(super) fn verified(&self) -> Option<Verified> {
        let at = Timestamp(self.verified_at.load(Ordering::Relaxed));
        (at != Timestamp::MIN).then(|| Verified {
            at,
            damaged_pages: self.damaged_pages.load(Ordering::Relaxed),
        })
    }
}
