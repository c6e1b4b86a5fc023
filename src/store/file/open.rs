//! Opening the file: what is refused, what is made, what is found.

use std::fs::{self, File};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, WriteTransaction};

use super::create;
use super::overlay::CopyOnWriteOverlay;
use super::panic_guard;
use crate::domain::id::SessionId;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, OpenError, ReadError};
use crate::store::quarantine;
use crate::store::quarantine::damage::Quarantine;
use crate::store::schema::migrations;
use crate::store::schema::record::{self, Counter, RecordError};
use crate::store::schema::tables::{self, DAMAGED, META, SCHEMA_VERSION, SESSIONS, meta};
use crate::store::write::txn::Txn;
use crate::store::write::writer::begin_write;

/// What was found in a file when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// How many sessions it holds, active and expired.
    pub sessions: u64,
    /// Whether the last stop was clean; none for a new file.
    pub clean_stop: Option<bool>,
}

/// Opens a path to write; the file is created with the mode 0600 if it is not there.
pub(in crate::store) fn file_at(path: &Path) -> Result<File, OpenError> {
    if !path.try_exists()? {
        create::make(path)?;
    }
    Ok(File::options().read(true).write(true).open(path)?)
}

/// Opens a database in its file.
pub(in crate::store) fn open_file(file: File, cache_bytes: usize) -> Result<Database, OpenError> {
    // redb would make a database of it.
    if file.metadata()?.len() == 0 {
        return Err(OpenError::Foreign("it is empty".into()));
    }
    let open = || {
        let backend = FileBackend::new(file).map_err(database_error)?;
        Database::builder()
            .set_cache_size(cache_bytes)
            .set_repair_callback(|repair| {
                tracing::info!(progress = repair.progress(), "repairing the database");
            })
            .create_with_backend(backend)
            .map_err(database_error)
    };
    shielded(open)
}

/// Refuses a file that this build must not touch, without touching it.
pub(in crate::store) fn refuse_unreadable(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => {
            return Err(OpenError::Foreign("it is empty".into()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    shielded(|| refuse_unreadable_database(path))
}

fn refuse_unreadable_database(path: &Path) -> Result<(), OpenError> {
    match Database::builder().open_read_only(path) {
        Ok(database) => refuse_foreign(&database),
        Err(DatabaseError::RepairAborted) => {
            // A crash left it, and it cannot be read before it is recovered.
            let peek = CopyOnWriteOverlay::into(File::open(path)?)?;
            let recovered = Database::builder().create_with_backend(peek);
            refuse_foreign(&recovered.map_err(database_error)?)
        }
        Err(error) => Err(database_error(error)),
    }
}

pub(in crate::store) fn refuse_foreign(database: &impl ReadableDatabase) -> Result<(), OpenError> {
    let txn = database.begin_read()?;
    let is_new =
        txn.list_tables()?.next().is_none() && txn.list_multimap_tables()?.next().is_none();
    if is_new {
        // A first start was cut off before its first commit.
        return Ok(());
    }
    match txn.open_table(META) {
        Ok(table) => check_schema(schema_of(&table)?),
        Err(error) => Err(foreign(&error)),
    }
}

/// Makes the tables of a new file, and notes that a server is running.
pub(in crate::store) fn prepare(
    database: &Database,
    now: Timestamp,
    rules: &Rules,
    damage: &Quarantine,
) -> Result<Found, OpenError> {
    shielded(|| prepare_unshielded(database, now, rules, damage))
}

fn prepare_unshielded(
    database: &Database,
    now: Timestamp,
    rules: &Rules,
    damage: &Quarantine,
) -> Result<Found, OpenError> {
    let txn = begin_write(database).map_err(OpenError::Storage)?;
    let is_new = bring_to_schema(&txn)?;
    let found = Found {
        sessions: txn.open_table(SESSIONS)?.len()?,
        clean_stop: if is_new {
            None
        } else {
            Some(stopped_cleanly(&txn)?)
        },
    };
    let after_a_crash = found.clean_stop == Some(false);
    start(&txn, now, rules, damage, after_a_crash).map_err(command_error)?;
    txn.commit()?;
    Ok(found)
}

/// Records that the server stopped as it should.
pub(in crate::store) fn write_stop(
    txn: &WriteTransaction,
    cleared: bool,
) -> Result<(), CommandError> {
    let mut table = txn.open_table(META)?;
    table.insert(meta::CLEAN_STOP, record::encode_number(1)?.as_slice())?;
    if cleared {
        let none = record::encode_tally(Counter {
            point: Timestamp::MIN,
            rows: 0,
        })?;
        for name in [meta::EXPIRED, meta::WARNED, meta::ENDED] {
            table.insert(name, none.as_slice())?;
        }
    }
    Ok(())
}

/// Puts a foreign error of redb's into ours.
pub(in crate::store) fn database_error(error: DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse,
        DatabaseError::Storage(redb::StorageError::Corrupted(reason)) => OpenError::Damaged(reason),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::InvalidData =>
        {
            OpenError::Foreign("it has no redb header".into())
        }
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            OpenError::Damaged("it is cut off".into())
        }
        other => OpenError::Storage(Box::new(other.into())),
    }
}

fn start(
    txn: &WriteTransaction,
    now: Timestamp,
    rules: &Rules,
    damage: &Quarantine,
    after_a_crash: bool,
) -> Result<(), CommandError> {
    damage.settle(&owners_of_damage(txn)?, &[]);
    let mut txn = Txn::open(txn, rules, damage, now)?;
    txn.set_clean_stop(false)?;
    txn.walk_tallies()?;
    // A damaged turn is opened again by its message before anybody looks for turns to take up.
    txn.all_open_turns()?;
    quarantine::set_aside(&mut txn, &damage.take_waiting())?;
    for mut turn in txn.all_open_turns()? {
        let before = turn.clone();
        turn.recover(after_a_crash);
        if turn != before {
            txn.put_turn(&turn)?;
        }
    }
    let leavings = txn.finish()?;
    damage.settle(&leavings.damaged_now, &leavings.sound_now);
    Ok(())
}

/// The sessions some of whose records are set aside.
fn owners_of_damage(txn: &WriteTransaction) -> Result<Vec<SessionId>, CommandError> {
    let mut owners = Vec::new();
    for row in redb::ReadableTable::iter(&txn.open_table(DAMAGED)?)? {
        let owner = SessionId::from(row?.0.value().0);
        if owners.last() != Some(&owner) {
            owners.push(owner);
        }
    }
    Ok(owners)
}

/// The work on a file, where a panic of redb's is damage.
pub(in crate::store) fn shielded<T>(
    open: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let damaged = || OpenError::Damaged("it is cut off or inconsistent".into());
    panic_guard::shielded(open).unwrap_or_else(|| Err(damaged()))
}

fn schema_of(
    table: &impl redb::ReadableTable<&'static str, &'static [u8]>,
) -> Result<u32, OpenError> {
    let Some(bytes) = table.get(meta::SCHEMA)? else {
        return Err(OpenError::Foreign("it has no schema version".into()));
    };
    match record::decode_number(bytes.value()) {
        Ok(version) => Ok(version),
        // A later version may have given up even this record's layout.
        Err(RecordError::UnknownVersion(version)) => Err(OpenError::Newer {
            found: version.into(),
            known: SCHEMA_VERSION,
        }),
        Err(error) => Err(OpenError::Damaged(error.to_string())),
    }
}

/// Gives a file the tables of the present schema, whether it is new or older; returns whether it
/// is new.
pub(in crate::store) fn bring_to_schema(txn: &WriteTransaction) -> Result<bool, OpenError> {
    let is_new =
        txn.list_tables()?.next().is_none() && txn.list_multimap_tables()?.next().is_none();
    let version = if is_new {
        SCHEMA_VERSION
    } else {
        let table = txn.open_table(META).map_err(|error| foreign(&error))?;
        schema_of(&table)?
    };
    check_schema(version)?;
    tables::create_all(txn)?;
    migrations::migrate(txn, version).map_err(command_error)?;
    Ok(is_new)
}

fn check_schema(found: u32) -> Result<(), OpenError> {
    match found {
        1..=SCHEMA_VERSION => Ok(()),
        0 => Err(OpenError::Damaged("its schema version is 0".into())),
        _ => Err(OpenError::Newer {
            found,
            known: SCHEMA_VERSION,
        }),
    }
}

fn stopped_cleanly(txn: &WriteTransaction) -> Result<bool, OpenError> {
    let table = txn.open_table(META)?;
    let Some(bytes) = redb::ReadableTable::get(&table, meta::CLEAN_STOP)? else {
        return Ok(false);
    };
    Ok(record::decode_number(bytes.value()) == Ok(1))
}

fn foreign(error: &redb::TableError) -> OpenError {
    match error {
        redb::TableError::TableDoesNotExist(_) => {
            OpenError::Foreign("it is a redb database of another program".into())
        }
        other => OpenError::Foreign(other.to_string()),
    }
}

fn command_error(error: CommandError) -> OpenError {
    match error {
        CommandError::Storage(error) => OpenError::Storage(error),
        other => OpenError::Damaged(format!("{other:?}")),
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => Self::Storage(error),
            ReadError::Closed => Self::Storage(Box::new(redb::Error::DatabaseClosed)),
            ReadError::Record(error) => Self::Record(error),
        }
    }
}
