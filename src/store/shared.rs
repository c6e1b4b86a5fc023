//! State that readers and the writer share.

use std::fs::File;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::condition::Condition;
use super::error::{ReadError, ReadResult};
use super::file::file_at_path::FileAtPath;
use super::file::free_space::FreeSpace;
use super::quarantine::registry::Quarantine;
use super::read::snapshot::{OpenDatabase, Snapshot};
use super::write::next_deadline::NextDeadline;
use crate::domain::rules::Rules;
use crate::metrics::StoreMetrics;

#[derive(Debug)]
pub(crate) struct Shared {
    /// None while the writer reopens it.
    pub(super) database: RwLock<Option<OpenDatabase>>,
    pub(super) condition: Condition,
    /// How often the database was reopened.
    pub(super) openings: AtomicU64,
    pub(super) quarantine: Quarantine,
    pub(super) next_deadline: NextDeadline,
    pub(super) rules: Rules,
    pub(super) meters: StoreMetrics,
    pub(super) space: FreeSpace,
    /// None for a database that is not a file, in tests.
    pub(super) file: Option<Arc<FileAtPath>>,
}

impl Shared {
    pub(super) fn database(&self) -> RwLockReadGuard<'_, Option<OpenDatabase>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn database_mut(&self) -> RwLockWriteGuard<'_, Option<OpenDatabase>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the shared snapshot of the last commit.
    pub(super) fn snapshot(&self) -> ReadResult<Arc<Snapshot>> {
        self.database()
            .as_ref()
            .ok_or(ReadError::Closed)?
            .snapshot()
    }

    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()?.file()
    }
}
