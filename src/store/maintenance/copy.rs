//! A copy of everything as of one moment.
//!
//! The rows are copied from one snapshot to a new file, in their order, so the copy is as small as
//! possible. The snapshot lives only that long, since its pages cannot be reused meanwhile. Then
//! the copy is verified on its own.

use std::fs::File;

use redb::{
    Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableHandle as _,
    Value, WriteTransaction,
};

use super::progress::Progress;
use super::verify::verify_with;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{CopyError, OpenError};
use crate::store::file::database::create_in;
use crate::store::file::panic_guard::{PanicSafe, guard};
use crate::store::quarantine;
use crate::store::quarantine::location::RecordRef;
use crate::store::quarantine::registry::Quarantine;
use crate::store::schema::tables::{
    self, CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS,
    REMOTE_SESSIONS, SESSIONS, SUBMIT_KEYS, USER_SESSIONS, WAITING_TURNS, meta,
};
use crate::store::write::txn::Txn;

/// The cache of the copy, which is written once from beginning to end.
const CACHE_BYTES: usize = 32 << 20;

/// The most records that are quarantined in one transaction.
const MAX_RECORDS: usize = 500;

/// Copies the content of a snapshot to an empty file, and drops the snapshot.
pub(crate) fn copy(
    snapshot: ReadTransaction,
    file: File,
    progress: &mut dyn FnMut(Progress),
) -> Result<PanicSafe, CopyError> {
    let database = PanicSafe::new(guard(|| create_in(file, CACHE_BYTES))?);
    database.write(|txn| {
        copy_tables(&snapshot, txn, progress)?;
        // These describe the source file, not its content.
        let mut names = txn.open_table(META)?;
        for name in [meta::VERIFIED, meta::LAST_BACKUP] {
            names.remove(name)?;
        }
        drop(names);
        tables::record_clean_stop(txn)?;
        // All rows are copied, so the commit does not need the snapshot.
        drop(snapshot);
        Ok(())
    })?;
    Ok(database)
}

/// Copies the content of a snapshot, with what describes the file, to an empty file that is to
/// replace it.
pub(crate) fn rewrite(snapshot: &ReadTransaction, file: File) -> Result<PanicSafe, OpenError> {
    let database = PanicSafe::new(guard(|| create_in(file, CACHE_BYTES))?);
    database.write(|txn| copy_tables(snapshot, txn, &mut |_| {}))?;
    Ok(database)
}

/// Verifies a copy completely. Undecodable records are quarantined, in the copy only.
pub(crate) fn verify(
    database: &mut PanicSafe,
    rules: &Rules,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), CopyError> {
    let damaged = undecodable_records(database, progress)?;
    if damaged.is_empty() {
        return Ok(());
    }
    for records in damaged.chunks(MAX_RECORDS) {
        database.write(|txn| {
            let quarantine = Quarantine::default();
            let mut rows = Txn::open(txn, rules, &quarantine, now)?;
            quarantine::quarantine_records(&mut rows, records)?;
            rows.finish()?;
            Ok(())
        })?;
    }
    match undecodable_records(database, progress)?.len() {
        0 => Ok(()),
        left => Err(CopyError::Unsound(format!("{left} records stay damaged"))),
    }
}

/// Returns the undecodable records; fails if anything else is wrong.
fn undecodable_records(
    database: &mut PanicSafe,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<RecordRef>, CopyError> {
    let mut records = Vec::new();
    let mut unsound = None;
    verify_with(database, progress, &mut |fault| match fault.record {
        Some(record) => records.push(record),
        None => unsound = unsound.take().or(Some(fault.text)),
    })?;
    match unsound {
        None => Ok(records),
        Some(fault) => Err(CopyError::Unsound(fault)),
    }
}

fn copy_tables(
    from: &ReadTransaction,
    to: &WriteTransaction,
    report: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let total = from.open_table(MESSAGES)?.len()? + from.open_table(SESSIONS)?.len()?;
    let mut progress = Progress { done: 0, total };
    copy_table(from, to, SESSIONS, &mut || progress.step(report))?;
    copy_table(from, to, MESSAGES, &mut || progress.step(report))?;
    let silent = &mut || {};
    copy_table(from, to, DEADLINES, silent)?;
    copy_table(from, to, USER_SESSIONS, silent)?;
    copy_table(from, to, CREATE_KEYS, silent)?;
    copy_table(from, to, MESSAGE_KEYS, silent)?;
    copy_table(from, to, SUBMIT_KEYS, silent)?;
    copy_table(from, to, REMOTE_SESSIONS, silent)?;
    copy_table(from, to, OPEN_TURNS, silent)?;
    copy_table(from, to, WAITING_TURNS, silent)?;
    copy_table(from, to, DELETIONS, silent)?;
    copy_table(from, to, DAMAGED, silent)?;
    copy_table(from, to, META, silent)?;
    report(progress);
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<K, V>,
    step: &mut dyn FnMut(),
) -> Result<(), OpenError> {
    // Damaged pages may have checksums that match the damage.
    let damaged = |reason| OpenError::Damaged(format!("{}: {reason}", definition.name()));
    let mut table = to.open_table(definition)?;
    let rows = from.open_table(definition)?;
    let mut last: Option<Vec<u8>> = None;
    let mut copied = 0;
    for row in rows.iter()? {
        let (key, value) = row?;
        let bytes = K::as_bytes(&key.value()).as_ref().to_vec();
        if last.is_some_and(|last| K::compare(&last, &bytes).is_ge()) {
            return Err(damaged("its rows are not in their order"));
        }
        last = Some(bytes);
        table.insert(key.value(), value.value())?;
        copied += 1;
        step();
    }
    if copied != rows.len()? {
        return Err(damaged("it has not as many rows as it says"));
    }
    Ok(())
}
