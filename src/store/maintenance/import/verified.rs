//! An import into a database of its own.

use std::fs::File;

use redb::Database;
use redb::backends::InMemoryBackend;

use super::importer::{Imported, Importer, Line};
use crate::domain::archive::Item;
use crate::domain::id::SessionId;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{CopyError, ImportError, OpenError};
use crate::store::file::database::{begin_write, create_in, open_backend};
use crate::store::file::open;
use crate::store::file::panic_guard::{PanicSafe, guard};
use crate::store::maintenance::copy;
use crate::store::maintenance::export::ExportCursor;
use crate::store::maintenance::progress::Progress;
use crate::store::quarantine::registry::Quarantine;
use crate::store::read::reader::Reader;
use crate::store::read::snapshot::Snapshot;
use crate::store::read::turns::sessions_with_open_turns;
use crate::store::schema::tables;
use crate::store::write::txn::Txn;

/// The cache of a database in a file.
const FILE_CACHE_BYTES: usize = 64 << 20;

/// The cache of a database that is in memory anyway.
const MEMORY_CACHE_BYTES: usize = 4 << 20;

/// The number of items per transaction.
const MAX_ITEMS: usize = 10_000;

/// The number of rows that are read at once to be added to another database.
const SLICE: usize = 500;

/// A verified database that contains nothing but imported lines.
#[derive(Debug)]
pub struct VerifiedImport {
    database: PanicSafe,
    imported: Imported,
}

impl VerifiedImport {
    /// Imports lines into memory.
    ///
    /// # Errors
    /// A line is invalid, or the lines do not fit together.
    pub fn in_memory(
        lines: &mut dyn Iterator<Item = Line>,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<Self, ImportError> {
        let database = guard(|| open_backend(InMemoryBackend::new(), MEMORY_CACHE_BYTES))?;
        Self::load(database, lines, rules, now, &mut |_| {})
    }

    /// Imports lines into an empty file.
    pub(in crate::store::maintenance) fn in_file(
        file: &File,
        lines: &mut dyn Iterator<Item = Line>,
        rules: &Rules,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, ImportError> {
        let file = file.try_clone().map_err(OpenError::from)?;
        let database = guard(|| create_in(file, FILE_CACHE_BYTES))?;
        Self::load(database, lines, rules, now, progress)
    }

    fn load(
        database: Database,
        lines: &mut dyn Iterator<Item = Line>,
        rules: &Rules,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, ImportError> {
        let mut database = PanicSafe::new(database);
        open::prepare(&database, now, rules, &Quarantine::default())?;
        let mut importer = Importer::default();
        while take_batch(&mut importer, database.get()?, lines, rules, now)? {}
        database.write(|txn| Ok(tables::record_clean_stop(txn)?))?;
        copy::verify(&mut database, rules, now, progress).map_err(|error| match error {
            CopyError::Failed(error) => ImportError::Failed(error),
            CopyError::Unsound(fault) => ImportError::Unsound(fault),
            CopyError::NoRoom { .. } => ImportError::Failed(OpenError::Damaged(error.to_string())),
        })?;
        Ok(Self {
            database,
            imported: importer.imported,
        })
    }

    /// Returns the numbers of imported records.
    #[must_use]
    pub fn imported(&self) -> Imported {
        self.imported
    }

    /// Closes the database.
    pub(super) fn close(self) -> Result<(), OpenError> {
        self.database.close()
    }

    /// Passes each item to `work`, as an export of the database would contain it.
    pub(crate) fn for_each<E: From<OpenError>>(
        &self,
        now: Timestamp,
        mut work: impl FnMut(Item) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursor = ExportCursor::all();
        while !cursor.is_done() {
            let items = self.read(|reader| Ok(reader.export(&mut cursor, SLICE, now)?))?;
            if let Some(lost) = cursor.take_lost().into_iter().next() {
                return Err(OpenError::Damaged(lost).into());
            }
            for item in items {
                work(item)?;
            }
        }
        Ok(())
    }

    /// Adds everything to the rows of another database, in which nothing conflicts with it.
    pub(crate) fn add_to(&self, txn: &mut Txn<'_>) -> Result<(), ImportError> {
        let (mut importer, mut number) = (Importer::default(), 0);
        self.for_each(txn.now, |item| {
            number += 1;
            importer.apply(txn, number, item)
        })?;
        importer.end_session(txn)
    }

    /// Returns the sessions that have open turns.
    pub(crate) fn sessions_with_open_turns(&self) -> Result<Vec<SessionId>, OpenError> {
        self.read(|reader| Ok(sessions_with_open_turns(reader)?))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        guard(|| {
            read(&Reader {
                snapshot: &Snapshot::new(self.database.get()?)?,
                quarantine: &Quarantine::default(),
            })
        })
    }
}

/// Imports the items of one transaction; returns whether there may be more.
fn take_batch(
    importer: &mut Importer,
    database: &Database,
    lines: &mut dyn Iterator<Item = Line>,
    rules: &Rules,
    now: Timestamp,
) -> Result<bool, ImportError> {
    let quarantine = Quarantine::default();
    let txn = begin_write(database).map_err(OpenError::from)?;
    let mut rows = Txn::open(&txn, rules, &quarantine, now)?;
    let mut has_more = true;
    for _ in 0..MAX_ITEMS {
        let Some((number, item)) = lines.next() else {
            has_more = false;
            importer.end_session(&mut rows)?;
            break;
        };
        let item = item.map_err(|reason| ImportError::Line { number, reason })?;
        importer.apply(&mut rows, number, item)?;
    }
    rows.finish()?;
    txn.commit().map_err(OpenError::from)?;
    Ok(has_more)
}
