//! The newest snapshot, shared by all readers until the next commit.
//!
//! Beginning a transaction and opening a table costs as much as reading a row. Every reader wants
//! the state of the last commit, so they share one snapshot of it; the writer drops it with each
//! commit, before the commit is acknowledged. It never keeps a page from being reused: the pages of
//! the last commit are in use with or without it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _};

use crate::store::error::{OpenError, ReadResult};
use crate::store::schema::tables::{MESSAGES, OPEN_TURNS, SESSIONS};

/// An open database, and the snapshot of its last commit.
#[derive(Debug)]
pub(crate) struct OpenDatabase {
    pub(crate) database: Database,
    newest: RwLock<Option<Arc<Snapshot>>>,
}

/// A consistent view of the database, with the tables that most readers need.
pub(crate) struct Snapshot {
    pub(crate) txn: ReadTransaction,
    pub(crate) sessions: ReadOnlyTable<u128, &'static [u8]>,
    pub(crate) messages: ReadOnlyTable<(u128, i64), &'static [u8]>,
    open_turns: OnceLock<ReadOnlyTable<(u128, u32), &'static [u8]>>,
}

impl OpenDatabase {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            newest: RwLock::default(),
        }
    }

    /// Returns the snapshot of the last commit.
    pub(crate) fn snapshot(&self) -> ReadResult<Arc<Snapshot>> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = newest.as_ref() {
            return Ok(Arc::clone(snapshot));
        }
        drop(newest);
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = newest.as_ref() {
            return Ok(Arc::clone(snapshot));
        }
        // Taken with the lock held: a commit that it does not show has yet to drop the snapshot.
        let snapshot = Arc::new(Snapshot::new(&self.database)?);
        *newest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Begins a read transaction that is not shared.
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, OpenError> {
        Ok(self.database.begin_read()?)
    }

    /// Closes the database. Reads that are in progress fail from now on. If the disk fails, the
    /// next open may have to repair the file.
    pub(crate) fn close(self) -> Result<(), redb::DatabaseError> {
        self.forget_snapshot();
        self.database.close()
    }

    /// Drops the snapshot after a commit, or before closing.
    pub(crate) fn forget_snapshot(&self) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = newest.take();
        drop(newest);
        drop(forgotten);
    }
}

impl Snapshot {
    pub(crate) fn new(database: &Database) -> ReadResult<Self> {
        let txn = database.begin_read()?;
        Ok(Self {
            sessions: txn.open_table(SESSIONS)?,
            messages: txn.open_table(MESSAGES)?,
            open_turns: OnceLock::new(),
            txn,
        })
    }

    /// Returns the open turns, which are read twice for each turn that runs, and rarely otherwise.
    pub(crate) fn open_turns(&self) -> ReadResult<&ReadOnlyTable<(u128, u32), &'static [u8]>> {
        if let Some(table) = self.open_turns.get() {
            return Ok(table);
        }
        let table = self.txn.open_table(OPEN_TURNS)?;
        Ok(self.open_turns.get_or_init(|| table))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
