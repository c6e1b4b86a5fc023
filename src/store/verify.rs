//! Whether a whole file is sound: every page by redb's checksums, every row by ours.

use redb::{Database, ReadableDatabase};

use super::check::{self, Fault, Progress};
use super::error::{OpenError, ReadError};
use super::open::{database_error, shielded};

/// What is wrong with a database, a line each. Records that cannot be decoded are no reason to
/// give up the rest: they are set aside when they are met.
pub(super) fn verify(mut database: Database) -> Result<Vec<String>, OpenError> {
    let mut faults = Vec::new();
    verify_with(&mut database, &mut |_| {}, &mut |fault| {
        if fault.place.is_none() {
            faults.push(fault.text);
        }
    })?;
    Ok(faults)
}

/// The same, told fault by fault, those of single records too.
pub(super) fn verify_with(
    database: &mut Database,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    let is_whole = shielded(|| database.check_integrity().map_err(database_error))?;
    if !is_whole {
        report(Fault {
            text: "pages: redb's own check found the file inconsistent".into(),
            place: None,
        });
    }
    shielded(|| {
        let txn = database.begin_read()?;
        check::check(&txn, progress, report).map_err(read_error)
    })
}

pub(super) fn read_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Storage(error) => OpenError::Storage(error),
        ReadError::Closed => OpenError::Storage(Box::new(redb::Error::DatabaseClosed)),
        ReadError::Record(error) => OpenError::Damaged(error.to_string()),
    }
}
