//! The one thread that writes.
//!
//! Commands queue on a bounded channel. A batch is whatever queued while the last commit was
//! syncing; it becomes one transaction with one durable commit, and only then are the callers
//! answered. So many callers share one sync, and no timer is needed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, WriteTransaction};
use tokio::sync::oneshot;

use super::command::Command;
use super::command::sealed::Apply;
use super::error::{CommandError, SubmitError};
use super::open::Opener;
use super::snapshot::OpenDatabase;
use super::txn::{Leavings, Txn};
use super::{Shared, tables};
use crate::clock::Clock;
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::events::EventBus;

/// The most commands of one transaction, so that nobody waits for a huge one.
const MAX_BATCH: usize = 1024;

/// How often a failing database is tried again.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What reaches the writer.
pub(super) enum Work {
    /// A command to carry out.
    Job(Box<dyn Job>),
    /// The end: what is queued before it is carried out.
    Stop {
        /// Whether to remove every session and message.
        clear: bool,
        /// Told whether the stop is recorded.
        done: oneshot::Sender<bool>,
    },
}

/// A command with its caller, whatever its types are.
pub(super) trait Job: Send {
    /// Carries the command out and keeps the answer.
    ///
    /// # Errors
    /// The database failed, and with it the whole batch.
    fn apply(&mut self, txn: &mut Txn<'_>) -> Result<(), Box<redb::Error>>;

    /// Answers the caller.
    fn answer(self: Box<Self>, fate: Fate);
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is on disk.
    Committed,
    /// Nothing of it is on disk.
    NotDone,
    /// The commit failed: all of it or nothing of it is on disk.
    Unknown,
}

/// A command that waits for its turn, or for the commit.
pub(super) struct Pending<C: Command> {
    command: Option<C>,
    result: Option<Result<C::Output, CommandError>>,
    caller: oneshot::Sender<Result<C::Output, SubmitError>>,
}

/// What a caller waits for.
pub(super) type Answer<C> = oneshot::Receiver<Result<<C as Apply>::Output, SubmitError>>;

impl<C: Command> Pending<C> {
    pub(super) fn new(command: C) -> (Self, Answer<C>) {
        let (caller, answer) = oneshot::channel();
        (
            Self {
                command: Some(command),
                result: None,
                caller,
            },
            answer,
        )
    }
}

impl<C: Command> Job for Pending<C> {
    fn apply(&mut self, txn: &mut Txn<'_>) -> Result<(), Box<redb::Error>> {
        let Some(command) = self.command.take() else {
            return Ok(());
        };
        let happenings = txn.happenings.len();
        match command.apply(txn) {
            Err(CommandError::Storage(error)) => Err(error),
            result => {
                if result.is_err() {
                    txn.happenings.truncate(happenings);
                }
                self.result = Some(result);
                Ok(())
            }
        }
    }

    fn answer(self: Box<Self>, fate: Fate) {
        let answer = match (fate, self.result) {
            (Fate::Unknown, _) => Err(SubmitError::OutcomeUnknown),
            // Even a refusal may rest on what the batch did not bring about.
            (Fate::NotDone, _) | (_, None | Some(Err(CommandError::Storage(_)))) => {
                Err(SubmitError::Storage)
            }
            (Fate::Committed, Some(Ok(output))) => Ok(output),
            (Fate::Committed, Some(Err(CommandError::Refused(refusal)))) => {
                Err(SubmitError::Refused(refusal))
            }
            (Fate::Committed, Some(Err(CommandError::Record(error)))) => {
                Err(SubmitError::Record(error))
            }
        };
        // A caller that has gone away does not want to know.
        let _ = self.caller.send(answer);
    }
}

/// The writer's own state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) opener: Opener,
    pub(super) work: Receiver<Work>,
    pub(super) rules: Rules,
    pub(super) clock: Clock,
    pub(super) events: EventBus,
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
    pub(super) fn run(mut self) {
        loop {
            match self.next_work() {
                Ok(Work::Job(first)) => {
                    self.shared.meters.queue.dec();
                    if let Some((clear, done)) = self.run_batch(first) {
                        return self.stop(clear, done);
                    }
                }
                Ok(Work::Stop { clear, done }) => return self.stop(clear, done),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn next_work(&self) -> Result<Work, RecvTimeoutError> {
        if self.shared.is_healthy() {
            return self.work.recv().map_err(|_| RecvTimeoutError::Disconnected);
        }
        self.work.recv_timeout(PROBE_INTERVAL)
    }

    /// Carries out a batch; returns the stop that ended it, if one did.
    fn run_batch(&mut self, first: Box<dyn Job>) -> Option<(bool, oneshot::Sender<bool>)> {
        let mut jobs = vec![first];
        let mut stop = None;
        while jobs.len() < MAX_BATCH {
            match self.work.try_recv() {
                Ok(Work::Job(job)) => {
                    self.shared.meters.queue.dec();
                    jobs.push(job);
                }
                Ok(Work::Stop { clear, done }) => {
                    stop = Some((clear, done));
                    break;
                }
                Err(_) => break,
            }
        }
        let commands = jobs.len();
        self.shared.meters.batch.observe_number(commands);
        let span = tracing::debug_span!("commit", commands);
        let fate = span.in_scope(|| {
            self.commit(|txn, clock| {
                for job in &mut jobs {
                    txn.now = clock.now();
                    job.apply(txn)?;
                }
                Ok(())
            })
        });
        for job in jobs {
            job.answer(fate);
        }
        stop
    }

    /// Runs one transaction to its end and, where it failed, opens the database anew.
    fn commit(
        &mut self,
        work: impl FnOnce(&mut Txn<'_>, &Clock) -> Result<(), Box<redb::Error>>,
    ) -> Fate {
        let attempt = || transact(&self.shared, &self.rules, &self.clock, work);
        // A panic in here is a bug; it must not take the writer away from everybody else.
        let outcome = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|_| {
            let error = redb::StorageError::Corrupted("a command panicked".into());
            Err(BatchError::NotDone(Box::new(error.into())))
        });
        match outcome {
            Ok(leavings) => {
                // Where there was nothing to commit, nothing is known of the disk.
                if leavings.dirty {
                    self.shared.set_healthy(true);
                }
                self.shared.deadlines.note(leavings.earliest_deadline);
                self.shared
                    .meters
                    .committed(leavings.created, leavings.happenings.iter());
                for happening in leavings.happenings {
                    self.events.publish(happening);
                }
                Fate::Committed
            }
            Err(BatchError::NotDone(error)) => self.failed(Fate::NotDone, &error),
            Err(BatchError::Unknown(error)) => self.failed(Fate::Unknown, &error),
        }
    }

    fn failed(&mut self, fate: Fate, error: &redb::Error) -> Fate {
        self.shared.set_healthy(false);
        self.shared.meters.failed();
        tracing::error!(%error, ?fate, "a write failed");
        self.reopen();
        fate
    }

    /// After an I/O error a redb handle refuses to write for good; a new one does not.
    fn reopen(&mut self) {
        let mut database = self.shared.database_mut();
        drop(database.take());
        match (self.opener)() {
            Ok(opened) => *database = Some(OpenDatabase::new(opened)),
            Err(error) => tracing::error!(%error, "the database cannot be reopened yet"),
        }
    }

    /// Tries whether the database can be written again.
    fn probe(&mut self) {
        if self.shared.database().is_none() {
            self.reopen();
        }
        let fate = self.commit(|txn, _| txn.set_clean_stop(false).map_err(storage));
        if fate == Fate::Committed {
            tracing::info!("the database can be written again");
        }
    }

    fn stop(self, clear: bool, done: oneshot::Sender<bool>) {
        let stopped = stop(&self.shared, clear);
        if let Err(error) = &stopped {
            tracing::error!(%error, "the stop could not be recorded");
        }
        drop(self.shared.database_mut().take());
        let _ = done.send(stopped.is_ok());
    }
}

fn transact(
    shared: &Shared,
    rules: &Rules,
    clock: &Clock,
    work: impl FnOnce(&mut Txn<'_>, &Clock) -> Result<(), Box<redb::Error>>,
) -> Result<Leavings, BatchError> {
    let not_done = |error: CommandError| BatchError::NotDone(storage(error));
    let begun = begin(shared).map_err(BatchError::NotDone)?;
    let mut txn = Txn::open(&begun, rules, clock.now()).map_err(not_done)?;
    work(&mut txn, clock).map_err(BatchError::NotDone)?;
    let leavings = txn.finish().map_err(not_done)?;
    if leavings.dirty {
        let started = Instant::now();
        begun
            .commit()
            .map_err(|error| BatchError::Unknown(Box::new(error.into())))?;
        let elapsed = started.elapsed();
        if let Some(open) = shared.database().as_ref() {
            open.forget_snapshot();
        }
        shared.meters.commit.observe(elapsed);
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

pub(super) fn begin_write(database: &Database) -> Result<WriteTransaction, Box<redb::Error>> {
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
    super::open::write_stop(&txn, clear).map_err(storage)?;
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

pub(super) fn storage(error: CommandError) -> Box<redb::Error> {
    match error {
        CommandError::Storage(error) => error,
        other => {
            let error = redb::StorageError::Corrupted(format!("{other:?}"));
            Box::new(error.into())
        }
    }
}

/// The earliest instant at which the janitor has something to do.
#[derive(Debug)]
pub struct Deadlines {
    next: std::sync::atomic::AtomicI64,
    sooner: tokio::sync::Notify,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self {
            next: std::sync::atomic::AtomicI64::new(i64::MAX),
            sooner: tokio::sync::Notify::new(),
        }
    }

    /// Says for when the janitor has set its alarm.
    pub fn set(&self, next: Timestamp) {
        self.next.store(next.0, std::sync::atomic::Ordering::SeqCst);
    }

    /// Waits until a deadline was written that comes before the alarm.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    fn note(&self, deadline: Timestamp) {
        let next = self
            .next
            .fetch_min(deadline.0, std::sync::atomic::Ordering::SeqCst);
        if deadline.0 < next {
            self.sooner.notify_one();
        }
    }
}
