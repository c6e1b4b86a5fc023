//! Ctrl-C, SIGTERM and SIGHUP.

use tokio::signal::unix::SignalKind;

use crate::process::signals::{self, Signals};

/// The signals that stop a reply or the chat, which no longer end the process.
pub(super) struct Stops {
    interrupts: Signals,
    terminations: Signals,
    hangups: Signals,
}

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Ctrl-C.
    Interrupt,
    Terminate,
    /// The terminal is gone.
    Hangup,
}

/// The error of what a signal has stopped.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("stopped by a signal")]
pub(super) struct Stopped(pub(super) Stop);

impl Stopped {
    /// Returns the exit code of a process that the signal itself has ended, as shells report it.
    pub(super) fn exit_code(self) -> i32 {
        let signal = match self.0 {
            Stop::Interrupt => SignalKind::interrupt(),
            Stop::Terminate => SignalKind::terminate(),
            Stop::Hangup => SignalKind::hangup(),
        };
        128 + signal.as_raw_value()
    }
}

impl Stops {
    /// Must be called within the runtime.
    pub(super) fn new() -> Self {
        Self {
            interrupts: signals::interrupts(),
            terminations: signals::terminations(),
            hangups: signals::hangups(),
        }
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Stop {
        tokio::select! {
            true = self.interrupts.next() => Stop::Interrupt,
            true = self.terminations.next() => Stop::Terminate,
            true = self.hangups.next() => Stop::Hangup,
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
            stop = self.next() => Err(Stopped(stop).into()),
        }
    }
}
