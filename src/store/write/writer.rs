//! The one thread that writes.
//!
//! Commands queue on a bounded channel. A batch is whatever queued while the last commit was
//! syncing; it becomes one transaction with one durable commit, and only then are the callers
//! answered. So many callers share one sync, and no timer is needed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, WriteTransaction};
use tokio::sync::oneshot;

use super::queue::{BatchOutcome, Job, WriterMessage};
use super::txn::{CommitEffects, Txn};
use crate::clock::Clock;
use crate::domain::rules::Rules;
use crate::events::EventBus;
use crate::store::error::{CommandError, REMEDY};
use crate::store::file::database_file::{DatabaseFile, is_full};
use crate::store::file::watch::WATCH_INTERVAL;
use crate::store::file::{open, panic_guard};
use crate::store::maintenance::verify::verify;
use crate::store::read::snapshot::OpenDatabase;
use crate::store::schema::tables;
use crate::store::{Shared, quarantine};

/// The most commands of one transaction, so that nobody waits for a huge one.
const MAX_BATCH: usize = 1024;

/// The same while the disk is nearly full, when there may be just enough room for a small one.
const MAX_BATCH_WHEN_LOW: usize = 16;

/// How often a failing database is tried again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// A check that takes long is not made so often that it does nothing else.
const PAUSE_PER_CHECK: u32 = 10;

/// Below so many free bytes the rest is for deletions: a file that copies on write needs room to
/// give room.
pub(in crate::store) const RESERVE: u64 = 8 << 20;

/// How many faults of a check are logged.
const FAULTS_TOLD: usize = 20;

/// The writer's own state.
pub(in crate::store) struct Writer {
    pub(in crate::store) shared: Arc<Shared>,
    pub(in crate::store) medium: Box<dyn DatabaseFile>,
    pub(in crate::store) work: Receiver<WriterMessage>,
    pub(in crate::store) rules: Rules,
    pub(in crate::store) clock: Clock,
    pub(in crate::store) events: EventBus,
    pub(in crate::store) state: State,
}

/// Whether the database may be written.
#[derive(Debug)]
pub(in crate::store) struct State {
    mode: Mode,
    /// When a failing database is tried again.
    next_probe: Instant,
    /// When the disk and the path are looked at again.
    pub(in crate::store) next_watch: Instant,
    /// Whether the disk is nearly full.
    pub(in crate::store) is_low: bool,
    /// Whether there is no room inside the file either.
    pub(in crate::store) is_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It may.
    Open,
    /// It was spoilt by nothing, but could not be opened to write.
    Closed,
    /// What is on the disk is not to be trusted before it has been checked in full.
    Suspect,
}

impl State {
    pub(in crate::store) fn new() -> Self {
        Self {
            mode: Mode::Open,
            next_probe: Instant::now(),
            // By then the free space within the file was measured, too.
            next_watch: Instant::now() + WATCH_INTERVAL,
            is_low: false,
            is_full: false,
        }
    }
}

/// Why a batch came to nothing.
enum BatchError {
    /// Before the commit.
    NotDone(Box<redb::Error>),
    /// In the commit.
    Unknown(Box<redb::Error>),
}

impl Writer {
    /// Works until it is told to stop, or nobody is left who could give it work.
    pub(in crate::store) fn run(mut self) {
        loop {
            self.watch_if_due();
            self.probe_if_due();
            match self.next_work() {
                Ok(WriterMessage::Job(first)) => {
                    self.shared.meters.queue.dec();
                    // What a caller has met is out of the way when its next command comes.
                    self.set_damage_aside();
                    let stop = self.run_batch(first);
                    self.set_damage_aside();
                    if let Some((clear, done)) = stop {
                        return self.stop(clear, done);
                    }
                }
                Ok(WriterMessage::Quarantine) => self.set_damage_aside(),
                Ok(WriterMessage::Pause(pause)) => pause.wait(),
                Ok(WriterMessage::Stop { clear, done }) => return self.stop(clear, done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next_work(&self) -> Result<WriterMessage, RecvTimeoutError> {
        let mut wake = self.state.next_watch;
        if self.shared.condition.commit_failed.get() {
            wake = wake.min(self.state.next_probe);
        }
        let patience = wake.saturating_duration_since(Instant::now());
        self.work.recv_timeout(patience)
    }

    /// Carries out a batch; returns the stop that ended it, if one did.
    fn run_batch(&mut self, first: Box<dyn Job>) -> Option<(bool, oneshot::Sender<bool>)> {
        let mut jobs = vec![first];
        let (mut stop, mut pause) = (None, None);
        let most = if self.state.is_low {
            MAX_BATCH_WHEN_LOW
        } else {
            MAX_BATCH
        };
        while jobs.len() < most {
            match self.work.try_recv() {
                Ok(WriterMessage::Job(job)) => {
                    self.shared.meters.queue.dec();
                    jobs.push(job);
                }
                Ok(WriterMessage::Quarantine) => {}
                Ok(WriterMessage::Pause(asked)) => {
                    pause = Some(asked);
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
        let writing = shared.alarm.begin(self.clock.now());
        let fate = span.in_scope(|| {
            self.commit(|txn, clock| {
                for job in &mut jobs {
                    txn.now = clock.now();
                    job.apply(txn)?;
                }
                Ok(())
            })
        });
        drop(writing);
        for job in jobs {
            job.answer(fate);
        }
        if let Some(pause) = pause {
            pause.wait();
        }
        stop
    }

    /// Runs one transaction to its end. Where the database may not be written, nothing is tried.
    fn commit(
        &mut self,
        work: impl FnOnce(&mut Txn<'_>, &Clock) -> Result<(), Box<redb::Error>>,
    ) -> BatchOutcome {
        if self.state.mode != Mode::Open || !self.is_at_its_path() {
            return BatchOutcome::NotDone;
        }
        let has_room = self.has_room();
        let before_commit = || {
            if self.state.is_low {
                self.medium.release_space();
            }
        };
        let parts = (&*self.shared, &self.rules, &self.clock);
        let attempt = || transact(parts, has_room, work, &before_commit);
        // A panic in here is a bug; it must not take the writer away from everybody else.
        let outcome = panic_guard::shielded_and_told(attempt).unwrap_or_else(|| {
            let error = redb::StorageError::Corrupted("a command panicked".into());
            Err(BatchError::NotDone(Box::new(error.into())))
        });
        match outcome {
            Ok(leavings) => {
                // What nobody will find is not acknowledged.
                let is_found = !leavings.dirty || self.is_at_its_path();
                self.committed(leavings, is_found);
                if is_found {
                    BatchOutcome::Committed
                } else {
                    BatchOutcome::Unknown
                }
            }
            Err(BatchError::NotDone(error)) => self.failed(BatchOutcome::NotDone, &error),
            Err(BatchError::Unknown(error)) => self.failed(BatchOutcome::Unknown, &error),
        }
    }

    fn committed(&mut self, leavings: CommitEffects, is_found: bool) {
        // Where there was nothing to commit, nothing is known of the disk.
        if leavings.dirty && self.shared.condition.commit_failed.set(false) {
            tracing::info!("the database can be written again");
        }
        let damage = &self.shared.damage;
        damage.settle(&leavings.damaged_now, &leavings.sound_now);
        let (rows, bytes) = leavings.written;
        self.shared.space.wrote(rows, bytes);
        if leavings.dirty && self.state.is_low {
            // It has taken room inside the file, or given some.
            self.shared.space.want();
        }
        self.shared.alarm.note(leavings.earliest_deadline);
        if !is_found {
            return;
        }
        let meters = &self.shared.meters;
        meters.created(leavings.created);
        for (agent, turns) in leavings.turns_deleted {
            meters.turns_deleted(agent, turns);
        }
        meters.committed(leavings.happenings.iter());
        for happening in leavings.happenings {
            self.events.publish(happening);
        }
    }

    // Failures

    /// After any I/O error a redb handle refuses to write for good; a new one does not.
    fn failed(&mut self, fate: BatchOutcome, error: &redb::Error) -> BatchOutcome {
        self.shared.condition.commit_failed.set(true);
        self.shared.meters.failed();
        tracing::error!(%error, ?fate, "a write failed");
        if is_full(error) {
            self.reopen();
            self.state.next_probe = Instant::now() + PROBE_INTERVAL;
        } else {
            // Reads go on with the old handle.
            self.state.mode = Mode::Suspect;
            self.state.next_probe = self.state.next_probe.max(Instant::now());
        }
        fate
    }

    /// Tries from time to time whether a failing database can be written again, also where there
    /// is always something else to do.
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
        // Before the attempt, so that what fails in it does not move it.
        self.state.next_probe = Instant::now() + PROBE_INTERVAL;
        self.commit(|txn, _| txn.set_clean_stop(false).map_err(storage));
    }

    /// Looks at all that is on the disk, whatever the system or the old handle remember of it.
    fn is_sound(&self) -> bool {
        let looked = self.medium.look().and_then(verify);
        match looked {
            Ok(faults) if faults.is_empty() => return true,
            Ok(faults) => {
                for fault in faults.iter().take(FAULTS_TOLD) {
                    tracing::error!(%fault, "the database is not sound");
                }
            }
            Err(error) => tracing::error!(%error, "the database cannot be checked"),
        }
        tracing::error!(
            "the database stays as it is and is only read; once the server is stopped, {REMEDY}"
        );
        false
    }

    /// Opens the database anew. Where that fails, it can still be read if it can be looked at.
    fn reopen(&mut self) {
        let mut database = self.shared.database_mut();
        self.shared.openings.fetch_add(1, Ordering::SeqCst);
        drop(database.take());
        match self.medium.open() {
            Ok(opened) => {
                *database = Some(OpenDatabase::new(opened));
                self.state.mode = Mode::Open;
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be opened to write yet");
                *database = self.medium.look().ok().map(OpenDatabase::new);
                self.state.mode = Mode::Closed;
            }
        }
    }

    /// Moves the records that were met and cannot be decoded out of the way.
    fn set_damage_aside(&mut self) {
        if !self.shared.damage.has_waiting() {
            return;
        }
        let places = self.shared.damage.take_waiting();
        self.commit(|txn, _| quarantine::set_aside(txn, &places).map_err(storage));
    }

    fn stop(self, clear: bool, done: oneshot::Sender<bool>) {
        let stopped = if self.state.mode == Mode::Open {
            stop(&self.shared, clear)
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

fn transact(
    (shared, rules, clock): (&Shared, &Rules, &Clock),
    has_room: bool,
    work: impl FnOnce(&mut Txn<'_>, &Clock) -> Result<(), Box<redb::Error>>,
    before_commit: &dyn Fn(),
) -> Result<CommitEffects, BatchError> {
    let not_done = |error: CommandError| BatchError::NotDone(storage(error));
    let begun = begin(shared).map_err(BatchError::NotDone)?;
    let mut txn = Txn::open(&begun, rules, &shared.damage, clock.now()).map_err(not_done)?;
    txn.has_room = has_room;
    work(&mut txn, clock).map_err(BatchError::NotDone)?;
    let leavings = txn.finish().map_err(not_done)?;
    if leavings.dirty {
        before_commit();
        let started = Instant::now();
        begun
            .commit()
            .map_err(|error| BatchError::Unknown(Box::new(error.into())))?;
        let elapsed = started.elapsed();
        if let Some(open) = shared.database().as_ref() {
            open.forget_snapshot();
        }
        shared.meters.commit_took(elapsed);
        tracing::debug!(?elapsed, "committed");
    } else {
        begun
            .abort()
            .map_err(|error| BatchError::NotDone(Box::new(error.into())))?;
    }
    Ok(leavings)
}

/// Begins a transaction whose commit is durable and leaves nothing to repair.
fn begin(shared: &Shared) -> Result<WriteTransaction, Box<redb::Error>> {
    let database = shared.database();
    let Some(open) = database.as_ref() else {
        return Err(Box::new(redb::Error::DatabaseClosed));
    };
    begin_write(&open.database)
}

pub(in crate::store) fn begin_write(
    database: &Database,
) -> Result<WriteTransaction, Box<redb::Error>> {
    let mut txn = database
        .begin_write()
        .map_err(|error| Box::new(error.into()))?;
    // In every commit, since a recovery depends on the last one alone.
    txn.set_quick_repair(true);
    Ok(txn)
}

/// Records a clean stop, and with it the end of all sessions where that is wanted.
fn stop(shared: &Shared, clear: bool) -> Result<(), Box<redb::Error>> {
    let mut database = shared.database_mut();
    let Some(open) = database.as_mut() else {
        return Err(Box::new(redb::Error::DatabaseClosed));
    };
    let txn = begin_write(&open.database)?;
    if clear {
        tables::delete_all(&txn).map_err(|error| Box::new(error.into()))?;
    }
    open::write_stop(&txn, clear).map_err(storage)?;
    txn.commit().map_err(|error| Box::new(error.into()))?;
    open.forget_snapshot();
    if clear {
        // What was removed should not linger in free pages, but it is gone either way.
        if let Err(error) = open.database.compact() {
            tracing::warn!(%error, "the cleared database cannot be made smaller");
        }
    }
    Ok(())
}

pub(in crate::store) fn storage(error: CommandError) -> Box<redb::Error> {
    match error {
        CommandError::Storage(error) => error,
        other => {
            let error = redb::StorageError::Corrupted(format!("{other:?}"));
            Box::new(error.into())
        }
    }
}
