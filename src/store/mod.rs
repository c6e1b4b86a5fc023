//! Sessions and messages on disk: one redb file, one writer, any number of readers.
//!
//! The rest of the crate opens a [`Store`], asks it queries and submits commands to it. A command that
//! was answered is on disk. No snapshot and no transaction leaves this folder.

pub mod command;
mod condition;
pub mod error;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod maintenance;
mod quarantine;
mod read;
pub mod schema;
mod write;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Instrument as _;

use self::command::{Command, RecordVerification};
use self::condition::Condition;
pub use self::condition::{LastBackup, StoreHealth, Verified};
use self::error::{OpenError, ReadError, SubmitError};
use self::file::database_file::{self, DatabaseFile, DiskFile};
use self::file::file_at_path::FileAtPath;
pub use self::file::free_space::Space;
use self::file::open;
pub use self::file::open::Found;
use self::file::panic_guard::{self, PanicSafe};
pub use self::maintenance::backup::Backup as StoredBackup;
use self::maintenance::check;
pub use self::maintenance::export::Cursor;
pub use self::maintenance::scrub::{Findings, ScrubError};
use self::quarantine::damage::Quarantine;
pub use self::read::message_page::{Page, PageRequest};
pub use self::read::query::{StorageInfo, StoredSession, StoredTurn, TurnOutcome};
use self::read::reader::Reader;
pub use self::read::reader::{RowCounts, Stats};
use self::read::snapshot::OpenDatabase;
pub use self::write::next_deadline::NextDeadline;
use self::write::queue::{Pending, WriterMessage};
use self::write::writer::{State, Writer};
use crate::clock::Clock;
use crate::domain::rules::Rules;
use crate::events::EventBus;
use crate::metrics::StoreMeters;

/// How many commands may wait. At the measured rates that is about a tenth of a second of work.
const QUEUE: usize = 8192;

/// The database, open.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    queue: SyncSender<WriterMessage>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What readers and the writer share.
#[derive(Debug)]
struct Shared {
    /// None while the writer opens it anew.
    database: RwLock<Option<OpenDatabase>>,
    condition: Condition,
    /// How often the database was opened anew.
    openings: AtomicU64,
    damage: Quarantine,
    alarm: NextDeadline,
    rules: Rules,
    meters: StoreMeters,
    space: Space,
    /// The file, if it is one.
    file: Option<Arc<FileAtPath>>,
}

impl Store {
    /// Opens the file, or makes it, with a cache of so many bytes.
    ///
    /// # Errors
    /// The file is in use, foreign, damaged, of a newer version, or cannot be reached. It is then
    /// left as it was.
    pub fn open(
        path: &Path,
        cache_bytes: usize,
        rules: Rules,
        clock: Clock,
        events: EventBus,
    ) -> Result<(Self, Found), OpenError> {
        open::refuse_unreadable(path)?;
        let file = Arc::new(FileAtPath::new(path));
        let medium = Box::new(DiskFile::new(&file, cache_bytes));
        Self::open_with(medium, Some(file), rules, clock, events)
    }

    fn open_with(
        medium: Box<dyn DatabaseFile>,
        file: Option<Arc<FileAtPath>>,
        rules: Rules,
        clock: Clock,
        events: EventBus,
    ) -> Result<(Self, Found), OpenError> {
        let database = PanicSafe::new(medium.open()?);
        let damage = Quarantine::default();
        let found = open::prepare(database.get()?, clock.now(), &rules, &damage)?;
        let database = database.into_inner()?;
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(OpenDatabase::new(database))),
            condition: Condition::default(),
            openings: AtomicU64::new(0),
            damage,
            alarm: NextDeadline::new(),
            rules,
            meters: StoreMeters::default(),
            space: Space::default(),
            file,
        });
        let (queue, work) = mpsc::sync_channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            medium,
            work,
            rules,
            clock,
            events,
            state: State::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())?;
        let store = Self {
            shared,
            queue,
            writer: Mutex::new(Some(thread)),
        };
        // The method itself is not general enough over the snapshot's lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        if let Ok(Some(verified)) = store.read(|reader| reader.verification()) {
            store.shared.condition.set_verified(verified);
        }
        Ok((store, found))
    }

    /// Reads from a snapshot, which lives for the closure alone.
    fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let snapshot = {
            let database = self.shared.database();
            database.as_ref().ok_or(ReadError::Closed)?.snapshot()?
        };
        let reader = Reader {
            snapshot: &snapshot,
            damage: &self.shared.damage,
        };
        // redb panics on pages that make no sense; the caller hears an error.
        let result = panic_guard::shielded_and_told(|| read(&reader)).unwrap_or_else(|| {
            let error = redb::StorageError::Corrupted("a read panicked".into());
            Err(error.into())
        });
        if self.shared.damage.has_waiting() {
            // Where the queue is full, the writer looks after its next batch.
            let _ = self.queue.try_send(WriterMessage::Quarantine);
        }
        result
    }

    /// Submits a command and waits until it is on disk, or refused.
    ///
    /// # Errors
    /// See [`SubmitError`]. Where the caller stops waiting, the command is carried out all the
    /// same.
    pub async fn submit<C: Command>(&self, command: C) -> Result<C::Output, SubmitError> {
        let (pending, answer) = Pending::new(command);
        // Counted before it is there to be taken, so that the queue is never shorter than nothing.
        self.shared.meters.queue.inc();
        self.queue
            .try_send(WriterMessage::Job(Box::new(pending)))
            .map_err(|error| {
                self.shared.meters.queue.dec();
                match error {
                    TrySendError::Full(_) => SubmitError::Overloaded,
                    TrySendError::Disconnected(_) => SubmitError::Closed,
                }
            })?;
        let span = tracing::debug_span!("queue");
        let submitted = (!span.is_disabled()).then(Instant::now);
        let answered = answer.instrument(span.clone()).await;
        if let Some(submitted) = submitted {
            let elapsed = submitted.elapsed();
            span.in_scope(|| tracing::debug!(?elapsed, "written"));
        }
        // The writer answers all that it takes; what it does not take any more is not done.
        answered.unwrap_or(Err(SubmitError::Closed))
    }

    /// What keeps the store from being sound or from taking writes.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let condition = &self.shared.condition;
        let verified = condition.verified();
        StoreHealth {
            commit_failed: condition.commit_failed.get(),
            no_space: condition.no_space.get(),
            file_replaced: condition.file_replaced.get(),
            undecodable_sessions: self.shared.damage.sessions(),
            damaged_pages: verified.map_or(0, |verified| verified.damaged_pages),
        }
    }

    /// Takes in what a complete verification found, for health and for the starts to come.
    ///
    /// # Errors
    /// It could not be written; then it holds until the next start.
    pub async fn record_verification(&self, verified: Verified) -> Result<(), SubmitError> {
        self.shared.condition.set_verified(verified);
        self.submit(RecordVerification(verified)).await
    }

    /// When the janitor has to wake.
    #[must_use]
    pub fn alarm(&self) -> &NextDeadline {
        &self.shared.alarm
    }

    /// What the store counts.
    #[must_use]
    pub fn meters(&self) -> &StoreMeters {
        &self.shared.meters
    }

    /// The size of the file; 0 where there is none.
    fn file_bytes(&self) -> u64 {
        let metadata = self.shared.file().and_then(|file| file.metadata().ok());
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// How much room there is inside the file, as was measured last.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.shared.space
    }

    /// Measures the room inside the file, unless `stop` comes true meanwhile.
    ///
    /// It takes as long as to read the file. That is read a table at a time, so that pages which
    /// are freed meanwhile can soon be used again.
    ///
    /// # Errors
    /// The database fails.
    pub fn measure(&self, stop: &dyn Fn() -> bool) -> Result<(), ReadError> {
        let written = self.shared.space.written();
        let mut used = 0;
        // The method itself is not general enough over the snapshot's lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        for table in self.read(|reader| reader.tables())? {
            if stop() {
                return Ok(());
            }
            used += self.read(|reader| reader.table_bytes(table))?;
        }
        let allocated = self.shared.file().and_then(database_file::allocated_bytes);
        self.shared
            .space
            .found(written, allocated.unwrap_or_default(), used);
        Ok(())
    }

    /// The settings on which the rules depend.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// Checks every record, index row and tally; returns what does not fit, a line each.
    ///
    /// # Errors
    /// The database fails.
    pub fn check(&self) -> Result<Vec<String>, ReadError> {
        self.read(|reader| {
            let mut faults = Vec::new();
            check::check(&reader.snapshot.txn, &mut |_| {}, &mut |fault| {
                faults.push(fault.text);
            })?;
            Ok(faults)
        })
    }

    /// Carries out what is queued, records a clean stop and closes the file. With `clear` all
    /// sessions and messages are removed first. Returns whether all of that is on disk.
    pub async fn close(&self, clear: bool) -> bool {
        let (done, stopped) = oneshot::channel();
        let mut work = WriterMessage::Stop { clear, done };
        loop {
            match self.queue.try_send(work) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => work = back,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let recorded = stopped.await.unwrap_or(false);
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            // It has answered, so it is about to end.
            let _ = writer.join();
        }
        recorded
    }
}

impl Shared {
    fn database(&self) -> RwLockReadGuard<'_, Option<OpenDatabase>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn database_mut(&self) -> RwLockWriteGuard<'_, Option<OpenDatabase>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How often the database was opened anew.
    fn openings(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }

    /// The open file, if it is one.
    fn file(&self) -> Option<&File> {
        self.file.as_ref()?.file()
    }
}

#[cfg(test)]
mod tests;
