//! The one thread that writes.
//!
//! Commands queue on a bounded channel. A batch is whatever was queued while the last commit was
//! syncing; it becomes one transaction with one durable commit, and only then are the callers
//! answered. So many callers share one sync, and no timer is needed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::WriteTransaction;
use tokio::sync::oneshot;

use super::queue::{BatchOutcome, Job, WriterMessage};
use super::txn::{CommitEffects, Txn};
use crate::clock::Clock;
use crate::events::EventBus;
use crate::store::error::{CommandError, CommandResult, RECOVERY_HINT};
use crate::store::file::database::begin_write;
use crate::store::file::database_file::DatabaseFile;
use crate::store::file::{disk, panic_guard};
use crate::store::maintenance::verify::verify;
use crate::store::quarantine;
use crate::store::read::snapshot::OpenDatabase;
use crate::store::schema::tables;
use crate::store::shared::Shared;

/// The most commands of one transaction, so that no caller waits for a huge one.
const MAX_BATCH: usize = 1024;

/// The most commands while the disk is nearly full: there may be just enough space for a small
/// batch.
const MAX_BATCH_WHEN_LOW: usize = 16;

/// How often a failing database is retried.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the disk and the path are checked when idle.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The pause after a full check, as a multiple of the time that the check took.
const PAUSE_PER_CHECK: u32 = 10;

/// The most faults of one check that are logged.
const MAX_LOGGED_FAULTS: usize = 20;

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) file: Box<dyn DatabaseFile>,
    pub(crate) work: Receiver<WriterMessage>,
    pub(crate) clock: Clock,
    pub(crate) events: EventBus,
    pub(crate) state: WriterState,
}

/// The state that only the writer knows.
#[derive(Debug)]
pub(crate) struct WriterState {
    mode: Mode,
    /// When a failing database is retried.
    next_probe: Instant,
    /// When the disk and the path are checked again.
    pub(super) next_watch: Instant,
    /// Whether the disk is nearly full.
    pub(super) is_low: bool,
    /// Whether there is no free space inside the file either.
    pub(super) is_full: bool,
}

/// Whether the database may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Reopening for writing failed; the data is not suspect.
    Closed,
    /// The file must be verified completely before it is written again.
    Suspect,
}

impl WriterState {
    pub(crate) fn new() -> Self {
        Self {
            mode: Mode::Open,
            next_probe: Instant::now(),
            // By then the free space inside the file has been measured, too.
            next_watch: Instant::now() + WATCH_INTERVAL,
            is_low: false,
            is_full: false,
        }
    }
}

impl Writer {
    /// Runs until a stop message arrives, or all senders are gone.
    pub(crate) fn run(mut self) {
        loop {
            self.watch_if_due();
            self.probe_if_due();
            match self.next_message() {
                Ok(WriterMessage::Job(first)) => {
                    self.shared.meters.queue.dec();
                    // Damage that a caller has found is quarantined before its next command.
                    self.quarantine_pending();
                    let stop = self.run_batch(first);
                    self.quarantine_pending();
                    if let Some((clear, done)) = stop {
                        return self.stop(clear, done);
                    }
                }
                Ok(WriterMessage::Quarantine) => self.quarantine_pending(),
                Ok(WriterMessage::Pause(pause)) => pause.wait(),
                Ok(WriterMessage::Stop { clear, done }) => return self.stop(clear, done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next_message(&self) -> Result<WriterMessage, RecvTimeoutError> {
        let mut wake = self.state.next_watch;
        if self.shared.condition.commit_failed.get() {
            wake = wake.min(self.state.next_probe);
        }
        let timeout = wake.saturating_duration_since(Instant::now());
        self.work.recv_timeout(timeout)
    }

    /// Carries out a batch; returns the stop message that ended it, if one did.
    fn run_batch(&mut self, first: Box<dyn Job>) -> Option<(bool, oneshot::Sender<bool>)> {
        let mut jobs = vec![first];
        let (mut stop, mut pause) = (None, None);
        let limit = if self.state.is_low {
            MAX_BATCH_WHEN_LOW
        } else {
            MAX_BATCH
        };
        while jobs.len() < limit {
            match self.work.try_recv() {
                Ok(WriterMessage::Job(job)) => {
                    self.shared.meters.queue.dec();
                    jobs.push(job);
                }
                Ok(WriterMessage::Quarantine) => {}
                Ok(WriterMessage::Pause(requested)) => {
                    pause = Some(requested);
                    break;
                }
                Ok(WriterMessage::Stop { clear, done }) => {
                    stop = Some((clear, done));
                    break;
                }
                Err(_) => break,
            }
        }
        let commands = jobs.len();
        self.shared.meters.batched(commands);
        let span = tracing::debug_span!("commit", commands);
        let shared = Arc::clone(&self.shared);
        let batch = shared.next_deadline.begin(self.clock.now());
        let outcome = span.in_scope(|| {
            self.commit(|txn, clock| {
                for job in &mut jobs {
                    txn.now = clock.now();
                    job.apply(txn)?;
                }
                Ok(())
            })
        });
        drop(batch);
        for job in jobs {
            job.answer(outcome);
        }
        if let Some(pause) = pause {
            pause.wait();
        }
        stop
    }

    /// Runs one transaction to its end, unless the database may not be written.
    fn commit(
        &mut self,
        work: impl FnOnce(&mut Txn<'_>, &Clock) -> CommandResult<()>,
    ) -> BatchOutcome {
        if self.state.mode != Mode::Open || !self.is_at_its_path() {
            return BatchOutcome::NotDone;
        }
        let has_free_space = self.has_free_space();
        let attempt = || self.transact(has_free_space, work);
        // A panic here is a bug; the writer must survive it for the sake of all other callers.
        let result = panic_guard::catch_and_log_panic(attempt).unwrap_or_else(|| {
            let error = redb::StorageError::Corrupted("a command panicked".into());
            Err((BatchOutcome::NotDone, Box::new(error.into())))
        });
        let effects = match result {
            Ok(effects) => effects,
            Err((outcome, error)) => {
                self.failed(outcome, &error);
                return outcome;
            }
        };
        // What the next start will not find is not acknowledged.
        let is_found = !effects.dirty || self.is_at_its_path();
        self.committed(effects, is_found);
        if is_found {
            BatchOutcome::Committed
        } else {
            BatchOutcome::Unknown
        }
    }

    fn transact(
        &self,
        has_free_space: bool,
        work: impl FnOnce(&mut Txn<'_>, &Clock) -> CommandResult<()>,
    ) -> Result<CommitEffects, (BatchOutcome, Box<redb::Error>)> {
        let not_done = |error: CommandError| (BatchOutcome::NotDone, error.into_storage());
        let shared = &*self.shared;
        let begun = begin(shared).map_err(not_done)?;
        let mut txn = Txn::open(&begun, &shared.rules, &shared.quarantine, self.clock.now())
            .map_err(not_done)?;
        txn.has_free_space = has_free_space;
        work(&mut txn, &self.clock).map_err(not_done)?;
        let effects = txn.finish().map_err(not_done)?;
        if !effects.dirty {
            begun.abort().map_err(|error| not_done(error.into()))?;
            return Ok(effects);
        }
        if self.state.is_low {
            self.file.release_reserve();
        }
        let started = Instant::now();
        begun
            .commit()
            .map_err(|error| (BatchOutcome::Unknown, Box::new(error.into())))?;
        let elapsed = started.elapsed();
        if let Some(open) = shared.database().as_ref() {
            open.forget_snapshot();
        }
        shared.meters.commit_took(elapsed);
        tracing::debug!(?elapsed, "committed");
        Ok(effects)
    }

    fn committed(&mut self, effects: CommitEffects, is_found: bool) {
        // An empty transaction says nothing about the disk.
        if effects.dirty && self.shared.condition.commit_failed.set(false) {
            tracing::info!("the database can be written again");
        }
        let quarantine = &self.shared.quarantine;
        quarantine.update(&effects.damaged, &effects.sound);
        let (rows, bytes) = effects.written;
        self.shared.space.add_written(rows, bytes);
        if effects.dirty && self.state.is_low {
            // The commit has used free space inside the file, or released some.
            self.shared.space.request_measurement();
        }
        self.shared.next_deadline.add(effects.earliest_deadline);
        if !is_found {
            return;
        }
        let meters = &self.shared.meters;
        meters.created(effects.created);
        for (agent, turns) in effects.turns_deleted {
            meters.turns_deleted(agent, turns);
        }
        meters.committed(self.clock.now(), effects.events.iter());
        for event in effects.events {
            self.events.publish(event);
        }
        for change in effects.work {
            self.events.work().publish(change);
        }
    }

    // Failures

    /// After any I/O error a redb handle refuses all writes; a new handle does not.
    fn failed(&mut self, outcome: BatchOutcome, error: &redb::Error) {
        self.shared.condition.commit_failed.set(true);
        self.shared.meters.failed();
        tracing::error!(%error, ?outcome, "a write failed");
        if disk::is_full(error) {
            self.reopen();
            self.state.next_probe = Instant::now() + PROBE_INTERVAL;
        } else {
            // Reads continue with the old handle.
            self.state.mode = Mode::Suspect;
            self.state.next_probe = self.state.next_probe.max(Instant::now());
        }
    }

    /// Retries a failing database at intervals, even if the queue is never empty.
    fn probe_if_due(&mut self) {
        if !self.shared.condition.commit_failed.get() || Instant::now() < self.state.next_probe {
            return;
        }
        let began = Instant::now();
        if self.state.mode == Mode::Suspect && !self.is_sound() {
            let pause = (began.elapsed() * PAUSE_PER_CHECK).max(PROBE_INTERVAL);
            self.state.next_probe = Instant::now() + pause;
            return;
        }
        if self.state.mode != Mode::Open {
            self.reopen();
        }
        // Set before the attempt, so that a failure in it does not change it.
        self.state.next_probe = Instant::now() + PROBE_INTERVAL;
        self.commit(|txn, _| txn.set_clean_stop(false));
    }

    /// Verifies all that is on the disk, independent of the system's cache and of the old handle.
    fn is_sound(&self) -> bool {
        match self.file.open_view().and_then(verify) {
            Ok(faults) if faults.is_empty() => return true,
            Ok(faults) => {
                for fault in faults.iter().take(MAX_LOGGED_FAULTS) {
                    tracing::error!(%fault, "the database is not sound");
                }
            }
            Err(error) => tracing::error!(%error, "the database cannot be checked"),
        }
        tracing::error!(
            "the database is left unchanged and is only read; once the server is stopped, {RECOVERY_HINT}"
        );
        false
    }

    /// Reopens the database. If that fails, it is opened for reading, if possible.
    fn reopen(&mut self) {
        let mut database = self.shared.database_mut();
        self.shared.openings.fetch_add(1, Ordering::SeqCst);
        drop(database.take());
        match self.file.open() {
            Ok(opened) => {
                *database = Some(OpenDatabase::new(opened));
                self.state.mode = Mode::Open;
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be opened for writing yet");
                *database = self.file.open_view().ok().map(OpenDatabase::new);
                self.state.mode = Mode::Closed;
            }
        }
    }

    /// Quarantines the undecodable records that were found.
    fn quarantine_pending(&mut self) {
        if !self.shared.quarantine.has_pending() {
            return;
        }
        let records = self.shared.quarantine.take_pending();
        self.commit(|txn, _| quarantine::quarantine_records(txn, &records));
    }

    fn stop(self, clear: bool, done: oneshot::Sender<bool>) {
        let stopped = if self.state.mode == Mode::Open {
            stop(&self.shared, clear).map_err(CommandError::into_storage)
        } else {
            Err(Box::new(redb::Error::DatabaseClosed))
        };
        if let Err(error) = &stopped {
            tracing::error!(%error, "the stop could not be recorded");
        }
        let is_found = self.is_at_its_path();
        if !is_found {
            tracing::error!("the stop was recorded in a file that the next start does not find");
        }
        if let Some(Err(error)) = self.shared.database_mut().take().map(OpenDatabase::close) {
            tracing::warn!(%error, "the database was not closed; the next start recovers it");
        }
        let _ = done.send(stopped.is_ok() && is_found);
    }
}

fn begin(shared: &Shared) -> CommandResult<WriteTransaction> {
    let database = shared.database();
    let open = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
    Ok(begin_write(&open.database)?)
}

/// Records a clean stop; deletes all sessions and messages first if `clear` is set.
fn stop(shared: &Shared, clear: bool) -> CommandResult<()> {
    let mut database = shared.database_mut();
    let open = database.as_mut().ok_or(redb::Error::DatabaseClosed)?;
    let txn = begin_write(&open.database)?;
    if clear {
        tables::delete_all(&txn)?;
    }
    tables::record_clean_stop(&txn)?;
    txn.commit()?;
    open.forget_snapshot();
    if clear {
        // Deleted data should not linger in free pages, but a failure here is harmless.
        if let Err(error) = open.database.compact() {
            tracing::warn!(%error, "the cleared database cannot be compacted");
        }
    }
    Ok(())
}
