//! A database file that no server holds.

use std::fs::{File, TryLockError};
use std::path::Path;

use redb::{Database, ReadableDatabase, ReadableTableMetadata};

use super::check::Fault;
pub use super::check::Progress;
use super::checksums;
use super::copy;
use super::export::Cursor;
use super::verify::{read_error, verify_pages, verify_rows};
use crate::domain::archive::{Item, Quarantined};
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::process::server_lock::ServerLock;
use crate::store::error::{CopyError, OpenError};
use crate::store::file::database_file::look_into;
use crate::store::file::open::{self, database_error, shielded};
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine::damage::Quarantine;
use crate::store::read::reader::Reader;
use crate::store::read::snapshot::Snapshot;
use crate::store::schema::tables::{DAMAGED, SESSIONS};
use crate::store::write::writer::begin_write;

/// A file that is looked at and not touched, whatever state it was left in.
#[derive(Debug)]
pub struct OfflineDatabase {
    database: PanicSafe,
    length: u64,
    /// While it is open, no server can take it.
    file: File,
    cache_bytes: usize,
    /// Whether its pages were verified: while it is held, they stay as they are.
    is_verified: bool,
    /// The lock of its folder, where that was taken.
    _lock: Option<ServerLock>,
}

impl OfflineDatabase {
    /// Looks into a file.
    ///
    /// # Errors
    /// It is not there, in use, foreign, damaged, or of a newer version.
    pub fn into(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let file = File::open(path)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let length = file.metadata()?.len();
        if length == 0 {
            return Err(OpenError::Foreign("it is empty".into()));
        }
        let looked = PanicSafe::new(look_into(file.try_clone()?, cache_bytes)?);
        shielded(|| {
            let database = looked.get()?;
            open::refuse_foreign(database)?;
            // An older file is brought to the present schema, in memory alone.
            let txn = begin_write(database).map_err(OpenError::Storage)?;
            open::bring_to_schema(&txn)?;
            txn.commit()?;
            Ok(())
        })?;
        Ok(Self {
            database: looked,
            length,
            file,
            cache_bytes,
            is_verified: false,
            _lock: None,
        })
    }

    /// The same, holding the lock of its folder.
    #[must_use]
    pub fn under(self, lock: Option<ServerLock>) -> Self {
        Self {
            _lock: lock,
            ..self
        }
    }

    /// How long the file is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// How many sessions it holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn sessions(&self) -> Result<u64, OpenError> {
        shielded(|| {
            Ok(self
                .database
                .get()?
                .begin_read()?
                .open_table(SESSIONS)?
                .len()?)
        })
    }

    /// Whether it holds nothing at all.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_empty(&self) -> Result<bool, OpenError> {
        let sessions = self.sessions()?;
        let damaged = shielded(|| {
            Ok(self
                .database
                .get()?
                .begin_read()?
                .open_table(DAMAGED)?
                .len()?)
        })?;
        Ok(sessions == 0 && damaged == 0)
    }

    /// Checks every page, record, index row and tally; tells what does not fit, a line each.
    ///
    /// # Errors
    /// It cannot be read on.
    pub fn check(
        &mut self,
        progress: &mut dyn FnMut(Progress),
        report: &mut dyn FnMut(String),
    ) -> Result<(), OpenError> {
        let mut report = |fault: Fault| report(fault.text);
        let mut are_sound = true;
        // As they are in the file: what is open here was written to, in memory.
        verify_pages(&mut PanicSafe::new(self.again()?), &mut |fault| {
            are_sound = false;
            report(fault);
        })?;
        self.is_verified = are_sound;
        verify_rows(&self.database, progress, &mut report)
    }

    /// Verifies every page, once.
    ///
    /// # Errors
    /// A page is damaged, other than in records that cannot be decoded; or it cannot be read.
    pub fn require_sound_pages(&mut self) -> Result<(), OpenError> {
        if !self.is_verified {
            checksums::require_sound(&|| self.again())?;
            self.is_verified = true;
        }
        Ok(())
    }

    /// The file as it is, opened once more.
    fn again(&self) -> Result<Database, OpenError> {
        look_into(self.file.try_clone()?, self.cache_bytes)
    }

    /// The records that were set aside because they cannot be decoded.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn set_aside(&self, tell: &mut dyn FnMut(Quarantined)) -> Result<(), OpenError> {
        shielded(|| {
            let txn = self.database.get()?.begin_read()?;
            super::check::set_aside(&txn, tell).map_err(read_error)
        })
    }

    /// Copies everything into an empty file, and checks both.
    ///
    /// # Errors
    /// Either file fails, or what is stored is not sound. Single records that cannot be decoded
    /// are set aside in the copy.
    pub fn copy_to(
        &mut self,
        file: &File,
        rules: &Rules,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CopyError> {
        self.require_sound_pages()?;
        let snapshot = copy::begin_read(self.database.get()?)?;
        let mut database = copy::copy(snapshot, file.try_clone()?, progress)?;
        copy::settle(&mut database, rules, now, progress)?;
        database.close()?;
        Ok(file.sync_all()?)
    }

    /// The next items of an export, of about `rows` rows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn export(
        &self,
        cursor: &mut Cursor,
        rows: usize,
        now: Timestamp,
    ) -> Result<Vec<Item>, OpenError> {
        let damage = Quarantine::default();
        shielded(|| {
            let snapshot = Snapshot::of(self.database.get()?).map_err(read_error)?;
            let reader = Reader {
                snapshot: &snapshot,
                damage: &damage,
            };
            reader.export(cursor, rows, now).map_err(read_error)
        })
    }
}

/// Makes a file as small as it can be; returns its length before and after.
///
/// # Errors
/// It is in use, foreign, damaged or of a newer version, and then unchanged; or the disk fails.
/// Damage to a record is enough: its page would get a checksum that fits the damage.
pub fn compact(path: &Path, cache_bytes: usize) -> Result<(u64, u64), OpenError> {
    let before = std::fs::metadata(path)?.len();
    open::refuse_unreadable(path)?;
    checksums::verify(&mut PanicSafe::new(
        OfflineDatabase::into(path, cache_bytes)?.again()?,
    ))?;
    shielded(|| {
        let mut database = Database::builder()
            .set_cache_size(cache_bytes)
            .open(path)
            .map_err(database_error)?;
        // A pass may free what another one can use.
        while compact_once(&mut database)? {}
        database.close().map_err(database_error)
    })?;
    Ok((before, std::fs::metadata(path)?.len()))
}

fn compact_once(database: &mut Database) -> Result<bool, OpenError> {
    database
        .compact()
        .map_err(|error| OpenError::Storage(Box::new(error.into())))
}
