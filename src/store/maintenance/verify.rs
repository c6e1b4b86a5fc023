//! Verification of a whole file: every page by redb's checksums, every row by our checks.

use redb::{Database, ReadableDatabase};

use super::check::{self, Fault};
use super::checksums;
use super::progress::Progress;
use crate::store::error::OpenError;
use crate::store::file::panic_guard::{PanicSafe, guard};

/// Returns the faults of a database, one line each. Undecodable records are left out, since they
/// are no reason to give up the rest: they are quarantined when they are read.
pub(crate) fn verify(database: Database) -> Result<Vec<String>, OpenError> {
    let mut database = PanicSafe::new(database);
    let mut faults = Vec::new();
    verify_with(&mut database, &mut |_| {}, &mut |fault| {
        if fault.record.is_none() {
            faults.push(fault.text);
        }
    })?;
    Ok(faults)
}

/// Reports each fault of a database, including undecodable records.
pub(crate) fn verify_with(
    database: &mut PanicSafe,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    verify_pages(database, report)?;
    verify_rows(database, progress, report)
}

/// Reports whether the checksum of any page does not match; redb does not say of which one.
pub(crate) fn verify_pages(
    database: &mut PanicSafe,
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    let reason = match checksums::check(database) {
        Ok(true) => return Ok(()),
        Ok(false) => "the file is not as it was left".to_owned(),
        // The check of the rows may show which records are affected.
        Err(OpenError::Damaged(reason)) => reason,
        Err(error) => return Err(error),
    };
    report(Fault {
        text: format!("pages: {reason}"),
        record: None,
    });
    Ok(())
}

/// Reports the faults of the rows.
pub(crate) fn verify_rows(
    database: &PanicSafe,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<(), OpenError> {
    guard(|| {
        let txn = database.get()?.begin_read()?;
        Ok(check::check(&txn, progress, report)?)
    })
}
