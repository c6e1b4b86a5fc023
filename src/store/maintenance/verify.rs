//! Whether a whole file is sound: every page by redb's checksums, every row by ours.

use redb::{Database, ReadableDatabase};

use super::check::{self, Fault, Progress};
use super::checksums;
use crate::store::error::{OpenError, ReadError};
use crate::store::file::open::shielded;
use crate::store::file::panic_guard::PanicSafe;

/// What is wrong with a database, a line each. Records that cannot be decoded are no reason to
/// give up the rest: they are set aside when they are met.
pub(in crate::store) fn verify(database: Database) -> Result<Vec<String>, OpenError> {
    let mut database = PanicSafe::new(database);
    let mut faults = Vec::new();
    verify_with(&mut database, &mut |_| {}, &mut |fault| {
        if fault.place.is_none() {
            faults.push(fault.text);
        }
    })?;
    Ok(faults)
}

/// The same, told fault by fault, those of single records too.
pub(in crate::store) fn verify_with(
    database: &mut PanicSafe,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    verify_pages(database, report)?;
    verify_rows(database, progress, report)
}

/// Tells whether a page does not have its checksum; of which one, redb does not say.
pub(in crate::store) fn verify_pages(
    database: &mut PanicSafe,
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    let reason = match checksums::check(database) {
        Ok(true) => return Ok(()),
        Ok(false) => "the file is not as it was left".to_owned(),
        // Which records that concerns, the rest of the check may tell.
        Err(OpenError::Damaged(reason)) => reason,
        Err(error) => return Err(error),
    };
    report(Fault {
        text: format!("pages: {reason}"),
        place: None,
    });
    Ok(())
}

/// Tells what does not fit in the rows.
pub(in crate::store) fn verify_rows(
    database: &PanicSafe,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    shielded(|| {
        let txn = database.get()?.begin_read()?;
        check::check(&txn, progress, report).map_err(read_error)
    })
}

pub(in crate::store) fn read_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Storage(error) => OpenError::Storage(error),
        ReadError::Closed => OpenError::Storage(Box::new(redb::Error::DatabaseClosed)),
        ReadError::Record(error) => OpenError::Damaged(error.to_string()),
    }
}
