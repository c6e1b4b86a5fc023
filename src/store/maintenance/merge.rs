//! Adds exported lines to a database that no server has open.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::import::conflicts::require_none;
use super::import::{Imported, Line, VerifiedImport};
use super::offline::OfflineDatabase;
use super::progress::Progress;
use crate::domain::archive::Item;
use crate::domain::error::RuleViolation;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::command::ImportSessions;
use crate::store::command::apply::Apply as _;
use crate::store::error::{CommandError, ImportError, OpenError};
use crate::store::file::open;
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine::registry::Quarantine;
use crate::store::write::txn::Txn;

/// A database file that no server has open, and that is to contain more sessions.
///
/// While the lines are read and verified, only a view of the file is open: it is written once,
/// after everything that could be wrong with them has been found.
#[derive(Debug)]
pub struct MergeTarget {
    path: PathBuf,
    cache_bytes: usize,
    view: OfflineDatabase,
}

impl MergeTarget {
    /// Opens a view of a file.
    ///
    /// # Errors
    /// The file is missing, in use, foreign, damaged, or of a newer version.
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        Ok(Self {
            path: path.to_owned(),
            cache_bytes,
            view: OfflineDatabase::open(path, cache_bytes)?,
        })
    }

    /// Adds the items in one transaction. `scratch` is an empty file, into which they are imported
    /// first to be verified. The database still records how the last server stopped.
    ///
    /// # Errors
    /// A line is invalid, its session exists, or a file fails. The database is then unchanged.
    pub fn merge(
        self,
        scratch: &File,
        lines: &mut dyn Iterator<Item = Line>,
        rules: &Rules,
        now: Timestamp,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, ImportError> {
        let verify = |txn: &Txn<'_>| {
            let mut conflict = None;
            let mut lines = lines.map(|(number, item)| {
                let item = item.and_then(|item| match require_no_conflict(txn, number, item) {
                    Ok(item) => Ok(item),
                    Err(error) => Err(conflict.insert(error).to_string()),
                });
                (number, item)
            });
            let verified = VerifiedImport::in_file(scratch, &mut lines, rules, now, progress);
            drop(lines);
            conflict.map_or(verified, Err)
        };
        let verified = self.view.with_rows(rules, now, verify)??;
        drop(self.view);
        let file = File::options().read(true).write(true).open(&self.path);
        let file = file.map_err(OpenError::from)?;
        let database = PanicSafe::new(open::open_file(file, self.cache_bytes)?);
        let imported = add(&database, verified, rules, now)?;
        database.close()?;
        Ok(imported)
    }
}

/// Adds a verified import to a database, in one transaction.
pub(in crate::store) fn add(
    database: &PanicSafe,
    verified: VerifiedImport,
    rules: &Rules,
    now: Timestamp,
) -> Result<Imported, OpenError> {
    database.write(|txn| {
        open::migrate(txn)?;
        let quarantine = Quarantine::default();
        let mut rows = Txn::open(txn, rules, &quarantine, now)?;
        let done = ImportSessions(verified).apply(&mut rows)?;
        rows.finish()?;
        Ok(done.imported)
    })
}

/// Returns the item of a line, unless it conflicts with what is stored.
fn require_no_conflict(txn: &Txn<'_>, number: u64, item: Item) -> Result<Item, ImportError> {
    match require_none(txn, &item) {
        Ok(()) => Ok(item),
        Err(CommandError::Refused(RuleViolation::SessionExists(session_id))) => {
            Err(ImportError::Exists { number, session_id })
        }
        Err(CommandError::Refused(RuleViolation::IdempotencyConflict { .. })) => {
            let reason = "another session has claimed its createKey".to_owned();
            Err(ImportError::Line { number, reason })
        }
        Err(error) => Err(error.into()),
    }
}
