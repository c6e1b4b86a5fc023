//! The newest snapshot, shared by all who read until the next commit.
//!
//! To begin a transaction and open a table costs as much as to read a row. What was committed
//! last is what every reader wants, so they share one snapshot of it; the writer drops it with
//! each commit, and before anybody is told of that commit. It never holds back a page that could
//! be used again: the pages of the last commit are in use with or without it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _};

use crate::store::error::ReadError;
use crate::store::schema::tables::{MESSAGES, OPEN_TURNS, SESSIONS};

/// A database that is open, and the snapshot of its last commit.
#[derive(Debug)]
pub(in crate::store) struct OpenDatabase {
    pub(in crate::store) database: Database,
    newest: RwLock<Option<Arc<Snapshot>>>,
}

/// A consistent view of everything, with the tables that most readers want open.
pub(in crate::store) struct Snapshot {
    pub(in crate::store) txn: ReadTransaction,
    pub(in crate::store) sessions: ReadOnlyTable<u128, &'static [u8]>,
    pub(in crate::store) messages: ReadOnlyTable<(u128, i64), &'static [u8]>,
    open_turns: OnceLock<ReadOnlyTable<(u128, u32), &'static [u8]>>,
}

impl OpenDatabase {
    pub(in crate::store) fn new(database: Database) -> Self {
        Self {
            database,
            newest: RwLock::default(),
        }
    }

    /// The snapshot of the last commit.
    pub(in crate::store) fn snapshot(&self) -> Result<Arc<Snapshot>, ReadError> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = newest.as_ref() {
            return Ok(Arc::clone(snapshot));
        }
        drop(newest);
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = newest.as_ref() {
            return Ok(Arc::clone(snapshot));
        }
        // It is taken with the lock held: a commit that it does not show has yet to forget it.
        let snapshot = Arc::new(Snapshot::of(&self.database)?);
        *newest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }

    /// Closes the database. Reads that are under way fail from now on.
    ///
    /// # Errors
    /// The disk fails: the next open may have to repair the file.
    pub(in crate::store) fn close(self) -> Result<(), redb::DatabaseError> {
        self.forget_snapshot();
        self.database.close()
    }

    /// Drops the snapshot, since there was a commit or is to be no reader.
    pub(in crate::store) fn forget_snapshot(&self) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = newest.take();
        drop(newest);
        drop(forgotten);
    }
}

impl Snapshot {
    pub(in crate::store) fn of(database: &Database) -> Result<Self, ReadError> {
        let txn = database.begin_read()?;
        Ok(Self {
            sessions: txn.open_table(SESSIONS)?,
            messages: txn.open_table(MESSAGES)?,
            open_turns: OnceLock::new(),
            txn,
        })
    }

    /// The open turns, which are looked at twice for each turn that is run, and else seldom.
    pub(in crate::store) fn open_turns(
        &self,
    ) -> Result<&ReadOnlyTable<(u128, u32), &'static [u8]>, ReadError> {
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
