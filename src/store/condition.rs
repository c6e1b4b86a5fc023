//! The store's own condition, for health checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;

/// What is wrong with a store, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreHealth {
    /// The last commit failed; it is retried every second.
    pub commit_failed: bool,
    /// There is no free space for new data.
    pub no_space: bool,
    /// The open file is not the one at its path.
    pub file_replaced: bool,
    /// The number of sessions with records that cannot be decoded.
    pub undecodable_sessions: u64,
    /// The number of faults that the last complete verification found in pages, index rows and
    /// counters.
    pub damaged_pages: u64,
}

impl StoreHealth {
    /// Whether the store accepts writes, as far as it is known.
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
    /// The number of faults in pages, index rows and counters. redb reports only whether any page
    /// is damaged, so damaged pages count as one fault.
    pub damaged_pages: u64,
}

/// The last backup that a client downloaded completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastBackup {
    /// When the download ended.
    pub at: Timestamp,
    /// The length of the backup in bytes.
    pub bytes: u64,
}

/// The parts of the condition that readers and the writer share.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) commit_failed: Flag,
    pub(super) no_space: Flag,
    pub(super) file_replaced: Flag,
    verified: Mutex<Option<Verified>>,
}

#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns the previous value.
    pub(super) fn set(&self, value: bool) -> bool {
        self.0.swap(value, Ordering::Relaxed)
    }
}

impl Condition {
    pub(super) fn set_verified(&self, verified: Verified) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
    }

    pub(super) fn verified(&self) -> Option<Verified> {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
