//! Ctrl-C, SIGTERM and SIGHUP.

use tokio::signal::unix::SignalKind;

use super::super::stopped_by_signal::StoppedBySignal;
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

impl From<Stop> for StoppedBySignal {
    fn from(stop: Stop) -> Self {
        let kind = match stop {
            Stop::Interrupt => SignalKind::interrupt(),
            Stop::Terminate => SignalKind::terminate(),
            Stop::Hangup => SignalKind::hangup(),
        };
        Self::new(kind.as_raw_value())
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
            stop = self.next() => Err(StoppedBySignal::from(stop).into()),
        }
    }
}
