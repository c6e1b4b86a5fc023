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
    let found = match shielded(|| database.check_integrity().map_err(database_error)) {
        Ok(true) => None,
        Ok(false) => Some("the file is not as it was left".to_owned()),
        // Which records that concerns, the rest of the check may tell.
        Err(OpenError::Damaged(reason)) => Some(reason),
        Err(error) => return Err(error),
    };
    if let Some(reason) = found {
        report(Fault {
            text: format!("pages: {reason}"),
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
