//! Opening the database file: refusals, creation, migration, recovery of open turns.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    WriteTransaction,
};

use super::create;
use super::overlay::CopyOnWriteOverlay;
use super::panic_guard::{PanicSafe, guard};
use crate::domain::id::SessionId;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandResult, OpenError};
use crate::store::quarantine;
use crate::store::quarantine::registry::Quarantine;
use crate::store::schema::migrations;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{self, DAMAGED, META, SCHEMA_VERSION, SESSIONS, meta};
use crate::store::write::txn::Txn;

/// The state of a file when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// The number of sessions, active and expired.
    pub sessions: u64,
    /// Whether the previous shutdown was clean; none for a new file.
    pub clean_stop: Option<bool>,
}

/// Opens a path for writing; creates the file with the mode 0600 if there is none.
pub(crate) fn open_or_create(path: &Path) -> Result<File, OpenError> {
    if !path.try_exists()? {
        create::create(path)?;
    }
    Ok(File::options().read(true).write(true).open(path)?)
}

pub(crate) fn open_file(file: File, cache_bytes: usize) -> Result<Database, OpenError> {
    // redb would turn it into a database.
    refuse_empty(file.metadata()?.len())?;
    guard(|| {
        Ok(Database::builder()
            .set_cache_size(cache_bytes)
            .set_repair_callback(|repair| {
                tracing::info!(progress = repair.progress(), "repairing the database");
            })
            .create_with_backend(FileBackend::new(file)?)?)
    })
}

pub(crate) fn refuse_empty(length: u64) -> Result<(), OpenError> {
    if length > 0 {
        return Ok(());
    }
    Err(OpenError::Foreign("it is empty".into()))
}

/// Refuses a file that this build must not modify, without modifying it.
pub(crate) fn refuse_unreadable(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(metadata) => refuse_empty(metadata.len())?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    guard(|| match Database::builder().open_read_only(path) {
        Ok(database) => refuse_foreign(&database),
        Err(DatabaseError::RepairAborted) => {
            // After a crash it cannot be read before it has been recovered.
            let overlay = CopyOnWriteOverlay::new(File::open(path)?)?;
            refuse_foreign(&Database::builder().create_with_backend(overlay)?)
        }
        Err(error) => Err(error.into()),
    })
}

/// Refuses databases of other programs and of newer versions.
pub(crate) fn refuse_foreign(database: &impl ReadableDatabase) -> Result<(), OpenError> {
    let txn = database.begin_read()?;
    if txn.list_tables()?.next().is_none() && txn.list_multimap_tables()?.next().is_none() {
        // A first start was interrupted before its first commit.
        return Ok(());
    }
    let table = txn.open_table(META).map_err(|error| foreign(&error))?;
    schema_version(&table).map(drop)
}

/// Brings a file to the current schema and records that a server is running.
pub(crate) fn prepare(
    database: &PanicSafe,
    now: Timestamp,
    rules: &Rules,
    quarantine: &Quarantine,
) -> Result<OpenReport, OpenError> {
    database.write(|txn| {
        let is_new = migrate(txn)?;
        let found = OpenReport {
            sessions: txn.open_table(SESSIONS)?.len()?,
            clean_stop: if is_new {
                None
            } else {
                Some(stopped_cleanly(txn)?)
            },
        };
        start(txn, now, rules, quarantine, found.clean_stop == Some(false))?;
        Ok(found)
    })
}

fn start(
    txn: &WriteTransaction,
    now: Timestamp,
    rules: &Rules,
    quarantine: &Quarantine,
    after_a_crash: bool,
) -> CommandResult<()> {
    quarantine.update(&quarantined_sessions(txn)?, &[]);
    let mut txn = Txn::open(txn, rules, quarantine, now)?;
    txn.set_clean_stop(false)?;
    txn.advance_counters()?;
    // The row of a damaged turn is restored from its message before turns are resumed.
    txn.all_open_turns()?;
    quarantine::quarantine_records(&mut txn, &quarantine.take_pending())?;
    for mut turn in txn.all_open_turns()? {
        let before = turn.clone();
        turn.recover(after_a_crash);
        if turn != before {
            txn.put_turn(&turn)?;
        }
    }
    let effects = txn.finish()?;
    quarantine.update(&effects.damaged, &effects.sound);
    Ok(())
}

/// Returns the sessions that have quarantined records.
fn quarantined_sessions(txn: &WriteTransaction) -> CommandResult<Vec<SessionId>> {
    let mut sessions = Vec::new();
    for row in txn.open_table(DAMAGED)?.iter()? {
        sessions.push(SessionId::from(row?.0.value().0));
    }
    sessions.dedup();
    Ok(sessions)
}

/// Brings a file, new or old, to the current schema; returns whether it is new.
pub(crate) fn migrate(txn: &WriteTransaction) -> Result<bool, OpenError> {
    let is_new =
        txn.list_tables()?.next().is_none() && txn.list_multimap_tables()?.next().is_none();
    let version = if is_new {
        SCHEMA_VERSION
    } else {
        let table = txn.open_table(META).map_err(|error| foreign(&error))?;
        schema_version(&table)?
    };
    tables::create_all(txn)?;
    migrations::migrate(txn, version)?;
    Ok(is_new)
}

/// Returns the schema version of a file; refuses one that this build cannot read.
fn schema_version(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<u32, OpenError> {
    let Some(bytes) = meta.get(meta::SCHEMA)? else {
        return Err(OpenError::Foreign("it has no schema version".into()));
    };
    let found = match record::decode_number(bytes.value()) {
        Ok(0) => return Err(OpenError::Damaged("its schema version is 0".into())),
        Ok(version @ 1..=SCHEMA_VERSION) => return Ok(version),
        Ok(version) => version,
        // A later version may have changed even the layout of this record.
        Err(RecordError::UnknownVersion(version)) => version.into(),
        Err(error) => return Err(OpenError::Damaged(error.to_string())),
    };
    let known = SCHEMA_VERSION;
    Err(OpenError::Newer { found, known })
}

fn stopped_cleanly(txn: &WriteTransaction) -> Result<bool, OpenError> {
    let table = txn.open_table(META)?;
    let bytes = table.get(meta::CLEAN_STOP)?;
    Ok(bytes.is_some_and(|bytes| record::decode_number(bytes.value()) == Ok(1)))
}

fn foreign(error: &redb::TableError) -> OpenError {
    OpenError::Foreign(match error {
        redb::TableError::TableDoesNotExist(_) => "it is a redb database of another program".into(),
        other => other.to_string(),
    })
}
