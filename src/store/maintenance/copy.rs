//! A copy of everything stored, as it is at one moment.
//!
//! The rows go from one snapshot into a new file, in their order, so that the copy is as small as
//! can be. The snapshot lives for just that long: while it does, the pages that it sees cannot be
//! used again. The copy is then checked in full, by itself.

use std::fs::File;

use redb::backends::FileBackend;
use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition, TableHandle as _, Value, WriteTransaction,
};

use super::check::Progress;
use super::verify::verify_with;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, CopyError, OpenError};
use crate::store::file::open::{database_error, shielded, write_stop};
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine;
use crate::store::quarantine::damage::{Place, Quarantine};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS,
    SUBMIT_KEYS, UPSTREAMS, USER_SESSIONS, meta,
};
use crate::store::write::txn::Txn;
use crate::store::write::writer::begin_write;

/// The copy's own cache: it is written once, from its beginning to its end.
const CACHE_BYTES: usize = 32 << 20;

/// Records that are set aside at once.
const SLICE: usize = 500;

/// How often progress is told, in rows.
const TELL_EVERY: u64 = 1 << 12;

/// Copies what the snapshot sees into an empty file and lets the snapshot go.
pub(in crate::store) fn copy(
    snapshot: ReadTransaction,
    file: File,
    progress: &mut dyn FnMut(Progress),
) -> Result<PanicSafe, CopyError> {
    let open = || {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(FileBackend::new(file).map_err(database_error)?)
            .map_err(database_error)
    };
    let database = PanicSafe::new(shielded(open)?);
    let copied = shielded(|| {
        let txn = begin_write(database.get()?).map_err(OpenError::Storage)?;
        copy_tables(&snapshot, &txn, progress)?;
        write_stop(&txn, false).map_err(command_error)?;
        // The rows are all there, so the snapshot is not needed for the rest.
        drop(snapshot);
        txn.commit()?;
        Ok(())
    });
    copied?;
    Ok(database)
}

/// Checks a copy in full. Records in it that cannot be decoded are set aside, in the copy alone.
pub(in crate::store) fn settle(
    database: &mut PanicSafe,
    rules: &Rules,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), CopyError> {
    let damaged = faults_of(database, progress)?;
    if damaged.is_empty() {
        return Ok(());
    }
    for places in damaged.chunks(SLICE) {
        shielded(|| {
            let txn = begin_write(database.get()?).map_err(OpenError::Storage)?;
            let damage = Quarantine::default();
            let mut rows = Txn::open(&txn, rules, &damage, now).map_err(command_error)?;
            quarantine::set_aside(&mut rows, places).map_err(command_error)?;
            rows.finish().map_err(command_error)?;
            txn.commit()?;
            Ok(())
        })?;
    }
    match faults_of(database, progress)?.len() {
        0 => Ok(()),
        left => Err(CopyError::Unsound(format!("{left} records stay damaged"))),
    }
}

/// The records that cannot be decoded; fails where anything else is wrong.
fn faults_of(
    database: &mut PanicSafe,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Place>, CopyError> {
    let mut places = Vec::new();
    let mut unsound = None;
    verify_with(database, progress, &mut |fault| match fault.place {
        Some(place) => places.push(place),
        None => unsound = unsound.take().or(Some(fault.text)),
    })?;
    match unsound {
        None => Ok(places),
        Some(fault) => Err(CopyError::Unsound(fault)),
    }
}

fn copy_tables(
    from: &ReadTransaction,
    to: &WriteTransaction,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let total = from.open_table(MESSAGES)?.len()? + from.open_table(SESSIONS)?.len()?;
    let mut progress = Progress { done: 0, total };
    copy_table(from, to, SESSIONS, &mut progress, tell)?;
    copy_table(from, to, MESSAGES, &mut progress, tell)?;
    let mut others = Progress { done: 0, total: 0 };
    let silent = &mut |_| {};
    copy_table(from, to, DEADLINES, &mut others, silent)?;
    copy_table(from, to, USER_SESSIONS, &mut others, silent)?;
    copy_table(from, to, CREATE_KEYS, &mut others, silent)?;
    copy_table(from, to, MESSAGE_KEYS, &mut others, silent)?;
    copy_table(from, to, SUBMIT_KEYS, &mut others, silent)?;
    copy_table(from, to, UPSTREAMS, &mut others, silent)?;
    copy_table(from, to, OPEN_TURNS, &mut others, silent)?;
    copy_table(from, to, DELETIONS, &mut others, silent)?;
    copy_table(from, to, DAMAGED, &mut others, silent)?;
    copy_table(from, to, META, &mut others, silent)?;
    // They are of the file and not of what is in it.
    let mut names = to.open_table(META)?;
    for name in [meta::VERIFIED, meta::LAST_BACKUP] {
        names.remove(name)?;
    }
    tell(progress);
    Ok(())
}

fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    definition: TableDefinition<K, V>,
    progress: &mut Progress,
    tell: &mut dyn FnMut(Progress),
) -> Result<(), OpenError> {
    let mut table = to.open_table(definition)?;
    let rows = from.open_table(definition)?;
    let mut last: Option<Vec<u8>> = None;
    let mut copied = 0;
    for row in rows.iter()? {
        let (key, value) = row?;
        let bytes = K::as_bytes(&key.value()).as_ref().to_vec();
        let follows = |last: &Vec<u8>| K::compare(last, &bytes).is_lt();
        if !last.as_ref().is_none_or(follows) {
            return Err(not_as_written(
                definition,
                "its rows are not in their order",
            ));
        }
        last = Some(bytes);
        table.insert(key.value(), value.value())?;
        copied += 1;
        progress.done += 1;
        if progress.done.is_multiple_of(TELL_EVERY) {
            tell(*progress);
        }
    }
    if copied != rows.len()? {
        return Err(not_as_written(
            definition,
            "it has not as many rows as it says",
        ));
    }
    Ok(())
}

/// What a table says whose pages were damaged and have checksums that fit the damage.
fn not_as_written<K: Key, V: Value>(table: TableDefinition<K, V>, reason: &str) -> OpenError {
    OpenError::Damaged(format!("{}: {reason}", table.name()))
}

pub(in crate::store) fn begin_read(database: &Database) -> Result<ReadTransaction, OpenError> {
    Ok(database.begin_read()?)
}

pub(in crate::store) fn command_error(error: CommandError) -> OpenError {
    match error {
        CommandError::Storage(error) => OpenError::Storage(error),
        other => OpenError::Damaged(format!("{other:?}")),
    }
}
