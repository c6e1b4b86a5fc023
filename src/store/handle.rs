//! The handle of an open database.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::command::{Command, RecordVerification};
use super::condition::{Condition, StoreHealth, Verified};
use super::error::{OpenError, ReadError, ReadResult, SubmitError};
use super::file::database_file::{DatabaseFile, DiskFile};
use super::file::disk;
use super::file::file_at_path::FileAtPath;
use super::file::free_space::FreeSpace;
use super::file::open::{self, OpenReport};
use super::file::panic_guard::{self, PanicSafe};
use super::maintenance::check;
use super::quarantine::registry::Quarantine;
use super::read::reader::Reader;
use super::read::snapshot::OpenDatabase;
use super::schema::tables::meta;
use super::shared::Shared;
use super::write::next_deadline::NextDeadline;
use super::write::queue::{Pending, WriterMessage};
use super::write::writer::{Writer, WriterState};
use crate::clock::Clock;
use crate::domain::rules::Rules;
use crate::events::EventBus;
use crate::metrics::StoreMetrics;

/// The most commands that can be queued: about a tenth of a second of work at the measured rates.
pub(super) const QUEUE_COMMANDS: usize = 8192;

/// An open database.
///
/// # Examples
/// ```
/// use sessiond::clock::Clock;
/// use sessiond::domain::id::{AgentId, SessionId, UserId};
/// use sessiond::domain::rules::Rules;
/// use sessiond::domain::session::NewSession;
/// use sessiond::domain::time::{Millis, TimeScale};
/// use sessiond::domain::timeout::{TimeoutConfig, TimeoutOverrides, TimeoutPolicy};
/// use sessiond::events::EventBus;
/// use sessiond::store::Store;
/// use sessiond::store::command::CreateSession;
///
/// let timeout = TimeoutConfig {
///     timeout_minutes: 30,
///     auto_renew: true,
///     max_duration_minutes: 720,
///     warning_threshold_minutes: 5,
/// };
/// let rules = Rules {
///     policy: TimeoutPolicy {
///         min_timeout_minutes: 5,
///         max_timeout_minutes: 1440,
///         defaults: timeout,
///     },
///     scale: TimeScale::REAL,
///     retention: Millis(24 * 60 * 60 * 1000),
///     max_pending_turns: 10_000,
///     max_sessions_per_user: 0,
/// };
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("sessiond.redb");
/// let (store, found) = Store::open(&path, 1 << 20, rules, Clock::system(), EventBus::default())?;
/// assert_eq!(found.sessions, 0);
///
/// let command = CreateSession {
///     new: NewSession {
///         id: SessionId::from(1),
///         agent_id: AgentId::from(2),
///         user_id: UserId::from(3),
///         timeout,
///         metadata: "{}".to_owned(),
///         create_key: None,
///     },
///     requested_timeout: TimeoutOverrides::default(),
///     has_agent: true,
///     continuation: None,
/// };
/// // Once this returns, the session is on disk.
/// let created = store.submit(command).await?;
/// assert_eq!(store.session(SessionId::from(1)).await?, Some(created.session));
/// assert!(store.close(false).await);
/// # Ok::<(), anyhow::Error>(())
/// # })?;
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: SyncSender<WriterMessage>,
    pub(super) writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the file, or creates it, with a cache of `cache_bytes`.
    ///
    /// # Errors
    /// The file is in use, foreign, damaged, of a newer version, or cannot be accessed. It is then
    /// left unchanged.
    pub fn open(
        path: &Path,
        cache_bytes: usize,
        rules: Rules,
        clock: Clock,
        events: EventBus,
    ) -> Result<(Self, OpenReport), OpenError> {
        open::refuse_unreadable(path)?;
        let file = Arc::new(FileAtPath::new(path));
        let disk_file = Box::new(DiskFile::new(&file, cache_bytes));
        Self::open_with(disk_file, Some(file), rules, clock, events)
    }

    pub(super) fn open_with(
        database_file: Box<dyn DatabaseFile>,
        file: Option<Arc<FileAtPath>>,
        rules: Rules,
        clock: Clock,
        events: EventBus,
    ) -> Result<(Self, OpenReport), OpenError> {
        let database = PanicSafe::new(database_file.open()?);
        let quarantine = Quarantine::default();
        let found = open::prepare(&database, clock.now(), &rules, &quarantine)?;
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(OpenDatabase::new(database.into_inner()?))),
            condition: Condition::default(),
            openings: AtomicU64::new(0),
            quarantine,
            next_deadline: NextDeadline::new(),
            rules,
            meters: StoreMetrics::default(),
            space: FreeSpace::default(),
            file,
        });
        let (queue, work) = mpsc::sync_channel(QUEUE_COMMANDS);
        let writer = Writer {
            shared: Arc::clone(&shared),
            file: database_file,
            work,
            clock,
            events,
            state: WriterState::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())?;
        let store = Self {
            shared,
            queue,
            writer: Mutex::new(Some(thread)),
        };
        if let Ok(Some(record)) = store.read(|reader| reader.meta_counter(meta::VERIFIED)) {
            store.shared.condition.set_verified(Verified {
                at: record.point,
                damaged_pages: record.rows,
            });
        }
        Ok((store, found))
    }

    /// Reads from the snapshot of the last commit, which lives only for the closure.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Reader<'_>) -> ReadResult<T>) -> ReadResult<T> {
        let snapshot = self.shared.snapshot()?;
        let reader = Reader {
            snapshot: &snapshot,
            quarantine: &self.shared.quarantine,
        };
        // redb panics on inconsistent pages; the caller receives an error.
        let result = panic_guard::catch_and_log_panic(|| read(&reader)).unwrap_or_else(|| {
            let error = redb::StorageError::Corrupted("a read panicked".into());
            Err(error.into())
        });
        if self.shared.quarantine.has_pending() {
            // If the queue is full, the writer checks after its next batch.
            let _ = self.queue.try_send(WriterMessage::Quarantine);
        }
        result
    }

    /// Submits a command and waits until it is on disk, or refused.
    ///
    /// # Errors
    /// See [`SubmitError`]. The command is carried out even if the caller stops waiting.
    pub async fn submit<C: Command>(&self, command: C) -> Result<C::Output, SubmitError> {
        let (pending, answer) = Pending::new(command);
        // Counted before the writer can take it, so that the gauge never goes below zero.
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
        // The writer answers every command that it takes; what it no longer takes is not done.
        answered.unwrap_or(Err(SubmitError::Closed))
    }

    /// Returns what is wrong with the store, as far as it is known.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let condition = &self.shared.condition;
        let verified = condition.verified();
        StoreHealth {
            commit_failed: condition.commit_failed.get(),
            no_space: condition.no_space.get(),
            file_replaced: condition.file_replaced.get(),
            undecodable_sessions: self.shared.quarantine.session_count(),
            damaged_pages: verified.map_or(0, |verified| verified.damaged_pages),
        }
    }

    /// Records the result of a complete verification, for health and for later starts.
    ///
    /// # Errors
    /// It could not be written; it then holds until the next start.
    pub async fn record_verification(&self, verified: Verified) -> Result<(), SubmitError> {
        self.shared.condition.set_verified(verified);
        self.submit(RecordVerification(verified)).await
    }

    /// Returns when the janitor has to wake.
    #[must_use]
    pub fn next_deadline(&self) -> &NextDeadline {
        &self.shared.next_deadline
    }

    /// Returns the store's metrics.
    #[must_use]
    pub fn meters(&self) -> &StoreMetrics {
        &self.shared.meters
    }

    /// Returns the free space inside the file, as last measured.
    #[must_use]
    pub fn space(&self) -> &FreeSpace {
        &self.shared.space
    }

    /// Measures the free space inside the file, unless `stop` returns true meanwhile.
    ///
    /// It takes as long as reading the whole file, a table at a time, so that pages which are freed
    /// meanwhile can soon be reused.
    ///
    /// # Errors
    /// The database fails.
    pub fn measure(&self, stop: &dyn Fn() -> bool) -> Result<(), ReadError> {
        let written = self.shared.space.written();
        let mut used = 0;
        for table in
            self.read(|reader| Ok(reader.snapshot.txn.list_tables()?.collect::<Vec<_>>()))?
        {
            if stop() {
                return Ok(());
            }
            used += self.read(|reader| reader.table_bytes(table))?;
        }
        let allocated = self.shared.file().and_then(disk::allocated_bytes);
        self.shared
            .space
            .set_measured(written, allocated.unwrap_or_default(), used);
        Ok(())
    }

    /// Returns the settings on which the rules depend.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// Checks every record, index row and counter; returns one line per fault.
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

    /// Carries out what is queued, records a clean stop and closes the file. With `clear`, deletes
    /// all sessions and messages first. Returns whether all of that is on disk.
    pub async fn close(&self, clear: bool) -> bool {
        let (done, stopped) = oneshot::channel();
        let mut message = WriterMessage::Stop { clear, done };
        loop {
            match self.queue.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(back)) => message = back,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let recorded = stopped.await.unwrap_or(false);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.take() {
            // It has answered, so it is about to end.
            let _ = writer.join();
        }
        recorded
    }
}
