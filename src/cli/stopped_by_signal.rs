//! A command that a signal has stopped.

/// A signal has ended a command that finished its work first.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub(super) struct StoppedBySignal {
    /// The number of the signal.
    pub(super) signal: u8,
}

impl StoppedBySignal {
    /// Returns the exit code of a process that the signal itself has ended, as shells report it.
    pub(super) fn exit_code(&self) -> u8 {
        128_u8.saturating_add(self.signal)
    }
}
