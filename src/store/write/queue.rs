//! The messages to the writer.

use std::sync::mpsc;

use tokio::sync::oneshot;

use super::txn::Txn;
use crate::store::command::Command;
use crate::store::command::apply::Apply;
use crate::store::error::{CommandError, SubmitError};

pub(crate) enum WriterMessage {
    /// A command to carry out.
    Job(Box<dyn Job>),
    /// Damaged records are waiting to be quarantined.
    Quarantine,
    /// A request to write nothing for a moment.
    Pause(Pause),
    /// The last message: commands that were queued before it are carried out.
    Stop {
        /// Whether to delete all sessions and messages.
        clear: bool,
        /// Receives whether the stop is recorded.
        done: oneshot::Sender<bool>,
    },
}

/// A request to the writer to pause. The channel has no capacity: the first message begins the
/// pause, and the second one fails when the receiver is dropped, which ends it.
pub(crate) struct Pause(pub(crate) mpsc::SyncSender<()>);

impl Pause {
    /// Waits until the pause is over.
    pub(crate) fn wait(self) {
        if self.0.send(()).is_ok() {
            let _ = self.0.send(());
        }
    }
}

/// A command of any type with its caller.
pub(crate) trait Job: Send {
    /// Carries the command out and stores its result. An error fails the whole batch.
    fn apply(&mut self, txn: &mut Txn<'_>) -> Result<(), CommandError>;

    /// Answers the caller.
    fn answer(self: Box<Self>, outcome: BatchOutcome);
}

/// The outcome of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchOutcome {
    /// It is on disk.
    Committed,
    /// Nothing of it is on disk.
    NotDone,
    /// The commit failed: all of it or nothing of it is on disk.
    Unknown,
}

/// A command that waits for its execution, or for the commit.
pub(crate) struct Pending<C: Command> {
    command: Option<C>,
    result: Option<Result<C::Output, CommandError>>,
    caller: oneshot::Sender<Result<C::Output, SubmitError>>,
}

/// Receives the answer to a command.
pub(crate) type Answer<C> = oneshot::Receiver<Result<<C as Apply>::Output, SubmitError>>;

impl<C: Command> Pending<C> {
    pub(crate) fn new(command: C) -> (Self, Answer<C>) {
        let (caller, answer) = oneshot::channel();
        let pending = Self {
            command: Some(command),
            result: None,
            caller,
        };
        (pending, answer)
    }
}

impl<C: Command> Job for Pending<C> {
    fn apply(&mut self, txn: &mut Txn<'_>) -> Result<(), CommandError> {
        let Some(command) = self.command.take() else {
            return Ok(());
        };
        let events = txn.effects.events.len();
        match command.apply(txn) {
            Err(error @ CommandError::Storage(_)) => return Err(error),
            Ok(output) => self.result = Some(Ok(output)),
            Err(refused) => {
                txn.effects.events.truncate(events);
                self.result = Some(Err(refused));
            }
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: BatchOutcome) {
        let answer = match (outcome, self.result) {
            (BatchOutcome::Unknown, _) => Err(SubmitError::OutcomeUnknown),
            // Even a refusal may depend on what the batch failed to write.
            (BatchOutcome::NotDone, _) | (_, None) => Err(SubmitError::Storage),
            (BatchOutcome::Committed, Some(result)) => result.map_err(|error| match error {
                CommandError::Refused(refusal) => SubmitError::Refused(refusal),
                CommandError::Record(error) => SubmitError::Record(error),
                CommandError::NoRoom => SubmitError::NoRoom,
                CommandError::Storage(_) => SubmitError::Storage,
            }),
        };
        // The caller may be gone.
        let _ = self.caller.send(answer);
    }
}
