//! What reaches the writer: commands with their callers, and the end.

use std::sync::mpsc;

use tokio::sync::oneshot;

use super::txn::Txn;
use crate::store::command::Command;
use crate::store::command::sealed::Apply;
use crate::store::error::{CommandError, SubmitError};

/// What reaches the writer.
pub(in crate::store) enum WriterMessage {
    /// A command to carry out.
    Job(Box<dyn Job>),
    /// Damaged records wait to be set aside.
    Quarantine,
    /// Nothing is to be written for a moment.
    Pause(Pause),
    /// The end: what is queued before it is carried out.
    Stop {
        /// Whether to remove every session and message.
        clear: bool,
        /// Told whether the stop is recorded.
        done: oneshot::Sender<bool>,
    },
}

/// A moment in which the writer does nothing.
pub(in crate::store) struct Pause {
    begun: mpsc::Sender<()>,
    over: mpsc::Receiver<()>,
}

/// Who asked for a pause: it begins when `begun` says so, and ends with this.
pub(in crate::store) struct Pausing {
    pub(in crate::store) begun: mpsc::Receiver<()>,
    _over: mpsc::Sender<()>,
}

impl Pause {
    pub(in crate::store) fn new() -> (Self, Pausing) {
        let (tell, begun) = mpsc::channel();
        let (end, over) = mpsc::channel();
        let pause = Self { begun: tell, over };
        (pause, Pausing { begun, _over: end })
    }

    /// Waits until it is over.
    pub(in crate::store) fn wait(self) {
        if self.begun.send(()).is_ok() {
            // Nothing is ever sent: it ends with the sender.
            let _ = self.over.recv();
        }
    }
}

/// A command with its caller, whatever its types are.
pub(in crate::store) trait Job: Send {
    /// Carries the command out and keeps the answer.
    ///
    /// # Errors
    /// The database failed, and with it the whole batch.
    fn apply(&mut self, txn: &mut Txn<'_>) -> Result<(), Box<redb::Error>>;

    /// Answers the caller.
    fn answer(self: Box<Self>, fate: BatchOutcome);
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum BatchOutcome {
    /// It is on disk.
    Committed,
    /// Nothing of it is on disk.
    NotDone,
    /// The commit failed: all of it or nothing of it is on disk.
    Unknown,
}

/// A command that waits for its turn, or for the commit.
pub(in crate::store) struct Pending<C: Command> {
    command: Option<C>,
    result: Option<Result<C::Output, CommandError>>,
    caller: oneshot::Sender<Result<C::Output, SubmitError>>,
}

/// What a caller waits for.
pub(in crate::store) type Answer<C> = oneshot::Receiver<Result<<C as Apply>::Output, SubmitError>>;

impl<C: Command> Pending<C> {
    pub(in crate::store) fn new(command: C) -> (Self, Answer<C>) {
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

    fn answer(self: Box<Self>, fate: BatchOutcome) {
        let answer = match (fate, self.result) {
            (BatchOutcome::Unknown, _) => Err(SubmitError::OutcomeUnknown),
            // Even a refusal may rest on what the batch did not bring about.
            (BatchOutcome::NotDone, _) | (_, None | Some(Err(CommandError::Storage(_)))) => {
                Err(SubmitError::Storage)
            }
            (BatchOutcome::Committed, Some(Ok(output))) => Ok(output),
            (BatchOutcome::Committed, Some(Err(CommandError::Refused(refusal)))) => {
                Err(SubmitError::Refused(refusal))
            }
            (BatchOutcome::Committed, Some(Err(CommandError::Record(error)))) => {
                Err(SubmitError::Record(error))
            }
            (BatchOutcome::Committed, Some(Err(CommandError::NoRoom))) => Err(SubmitError::NoRoom),
        };
        // A caller that has gone away does not want to know.
        let _ = self.caller.send(answer);
    }
}
