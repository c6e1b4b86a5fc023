//! Ctrl-C and SIGTERM.

use crate::process::signals::{self, Signals};

/// The signals that stop a reply or the chat, which no longer end the process.
pub(super) struct Stops {
    interrupts: Signals,
    terminations: Signals,
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Ctrl-C.
    Interrupt,
    Terminate,
}

/// The error of what a signal has stopped.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the reply was complete")]
pub(super) struct Stopped;

impl Stops {
    /// Must be called within the runtime.
    pub(super) fn new() -> Self {
        Self {
            interrupts: signals::interrupts(),
            terminations: signals::terminations(),
        }
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Stop {
        tokio::select! {
            true = self.interrupts.next() => Stop::Interrupt,
            true = self.terminations.next() => Stop::Terminate,
            // Without handlers the signals end the process.
            else => std::future::pending().await,
        }
    }

    /// Does something that any signal stops.
    pub(super) async fn interrupting<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            _ = self.next() => Err(Stopped.into()),
        }
    }
}
