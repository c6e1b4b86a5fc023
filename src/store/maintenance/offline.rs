//! A database file that no server has open. Every method fails if the file cannot be read.

#![expect(clippy::missing_errors_doc, reason = "the errors are the same for all")]

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use redb::{Database, Key, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use tempfile::NamedTempFile;

use super::check::{self, Fault};
use super::checksums;
use super::copy;
use super::export::ExportCursor;
pub use super::progress::Progress;
use super::verify::{verify_pages, verify_rows, verify_with};
use crate::domain::archive::{Item, Quarantined};
use crate::domain::id::SessionId;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::process::atomic_file;
use crate::process::server_lock::ServerLock;
use crate::store::error::{CopyError, OpenError};
use crate::store::file::database::begin_write;
use crate::store::file::database_file::open_view;
use crate::store::file::open;
use crate::store::file::panic_guard::{PanicSafe, guard};
use crate::store::quarantine::registry::Quarantine;
use crate::store::read::reader::Reader;
use crate::store::read::snapshot::Snapshot;
use crate::store::schema::tables::{DAMAGED, SESSIONS};
use crate::store::write::txn::Txn;

/// A read-only view of a file, whatever state it was left in.
#[derive(Debug)]
pub struct OfflineDatabase {
    database: PanicSafe,
    length: u64,
    /// While it is locked, no server can open it.
    file: File,
    cache_bytes: usize,
    /// Whether the pages were verified: while the file is locked, they do not change.
    is_verified: bool,
    /// The lock of its directory, if that was taken.
    _lock: Option<ServerLock>,
}

impl OfflineDatabase {
    /// Opens a view of a file.
    ///
    /// # Errors
    /// The file is missing, in use, foreign, damaged, or of a newer version.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let file = File::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let length = file.metadata()?.len();
        open::refuse_empty(length)?;
        let database = PanicSafe::new(open_view(file.try_clone()?, cache_bytes)?);
        guard(|| open::refuse_foreign(database.get()?))?;
        // An older file is migrated to the current schema, in memory only.
        database.write(open::migrate)?;
        Ok(Self {
            database,
            length,
            file,
            cache_bytes,
            is_verified: false,
            _lock: None,
        })
    }

    /// Holds the lock of the file's directory as long as the view.
    #[must_use]
    pub fn with_lock(self, lock: Option<ServerLock>) -> Self {
        Self {
            _lock: lock,
            ..self
        }
    }

    /// Returns the length of the file in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the number of sessions.
    pub fn sessions(&self) -> Result<u64, OpenError> {
        self.rows(SESSIONS)
    }

    /// Whether a session is stored.
    pub fn has_session(&self, id: SessionId) -> Result<bool, OpenError> {
        guard(|| {
            let txn = self.database.get()?.begin_read()?;
            let session = txn.open_table(SESSIONS)?.get(u128::from(id))?;
            Ok(session.is_some())
        })
    }

    /// Whether it holds neither sessions nor quarantined records.
    pub fn is_empty(&self) -> Result<bool, OpenError> {
        Ok(self.rows(SESSIONS)? == 0 && self.rows(DAMAGED)? == 0)
    }

    fn rows<K: Key + 'static>(
        &self,
        table: TableDefinition<K, &'static [u8]>,
    ) -> Result<u64, OpenError> {
        guard(|| {
            let txn = self.database.get()?.begin_read()?;
            Ok(txn.open_table(table)?.len()?)
        })
    }

    /// Checks every page, record, index row and counter; reports one line per fault.
    pub fn check(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        report: &mut dyn FnMut(String),
    ) -> Result<(), OpenError> {
        let mut report = |fault: Fault| report(fault.text);
        let mut are_sound = true;
        // In a new view, since the migration wrote to the pages of the open one.
        verify_pages(&mut PanicSafe::new(self.reopen()?), &mut |fault| {
            are_sound = false;
            report(fault);
        })?;
        self.is_verified = are_sound;
        verify_rows(&self.database, progress, &mut report)
    }

    /// Verifies every page, once.
    ///
    /// # Errors
    /// A page is damaged other than in undecodable records, or the file cannot be read.
    pub fn require_sound_pages(&mut self) -> Result<(), OpenError> {
        if !self.is_verified {
            checksums::require_sound(&|| self.reopen())?;
            self.is_verified = true;
        }
        Ok(())
    }

    /// Opens another view of the unchanged file.
    fn reopen(&self) -> Result<Database, OpenError> {
        open_view(self.file.try_clone()?, self.cache_bytes)
    }

    /// Passes each quarantined record to `report`.
    pub fn quarantined(&self, report: &mut dyn FnMut(Quarantined)) -> Result<(), OpenError> {
        guard(|| {
            let txn = self.database.get()?.begin_read()?;
            Ok(check::quarantined(&txn, report)?)
        })
    }

    /// Copies everything to an empty file, and verifies both.
    ///
    /// # Errors
    /// Either file fails, or the stored data is not sound. Single undecodable records are
    /// quarantined in the copy.
    pub fn copy_to(
        &mut self,
        file: &File,
        rules: &Rules,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CopyError> {
        self.require_sound_pages()?;
        let snapshot = self.database.get()?.begin_read().map_err(OpenError::from)?;
        let mut database = copy::copy(snapshot, file.try_clone()?, progress)?;
        copy::verify(&mut database, rules, now, progress)?;
        database.close()?;
        Ok(file.sync_all()?)
    }

    /// Passes the rows to `read`, as a command sees them.
    pub(super) fn with_rows<T>(
        &self,
        rules: &Rules,
        now: Timestamp,
        read: impl FnOnce(&Txn<'_>) -> T,
    ) -> Result<T, OpenError> {
        guard(|| {
            let txn = begin_write(self.database.get()?)?;
            let quarantine = Quarantine::default();
            Ok(read(&Txn::open(&txn, rules, &quarantine, now)?))
        })
    }

    /// Returns the next items of an export, of about `rows` rows.
    pub fn export(
        &self,
        cursor: &mut ExportCursor,
        rows: usize,
        now: Timestamp,
    ) -> Result<Vec<Item>, OpenError> {
        guard(|| {
            let reader = Reader {
                snapshot: &Snapshot::new(self.database.get()?)?,
                quarantine: &Quarantine::default(),
            };
            Ok(reader.export(cursor, rows, now)?)
        })
    }
}

/// Replaces a file by a copy, which is as small as possible and contains nothing else: redb's own
/// compaction moves pages, and leaves deleted rows in the unused parts of them. Returns the length
/// in bytes before and after. `create` creates the new file, with a temporary name beside the
/// present one.
///
/// # Errors
/// The file is in use, foreign, damaged or of a newer version, or the disk fails or has no space
/// for the copy. The file is unchanged then. A damaged record is enough: its page would get a
/// checksum that matches the damage.
pub fn compact(
    path: &Path,
    cache_bytes: usize,
    create: &dyn Fn(&Path) -> io::Result<NamedTempFile>,
) -> Result<(u64, u64), OpenError> {
    open::refuse_unreadable(path)?;
    let database = OfflineDatabase::open(path, cache_bytes)?;
    checksums::verify(&mut PanicSafe::new(database.reopen()?))?;
    let target = atomic_file::resolve_links(path);
    let file = create(&target)?;
    atomic_file::set_owner_like(file.as_file(), &database.file)?;
    let snapshot = guard(|| Ok(database.database.get()?.begin_read()?))?;
    let mut copy = copy::rewrite(&snapshot, file.as_file().try_clone()?)?;
    let mut fault = None;
    verify_with(&mut copy, &mut |_| {}, &mut |found| {
        if found.record.is_none() {
            fault.get_or_insert(found.text);
        }
    })?;
    if let Some(fault) = fault {
        return Err(OpenError::Damaged(fault));
    }
    copy.close()?;
    file.as_file().sync_all()?;
    let after = file.as_file().metadata()?.len();
    file.persist(&target).map_err(|error| error.error)?;
    atomic_file::sync_parent_dir(&target)?;
    Ok((database.length, after))
}
