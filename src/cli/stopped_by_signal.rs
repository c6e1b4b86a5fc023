//! A command that a signal has stopped.

/// The error of a command that a signal has stopped, and that has ended cleanly.
#[derive(Debug, thiserror::Error)]
#[error("stopped by a signal")]
pub(super) struct StoppedBySignal {
    /// The number of the signal.
    signal: u8,
}

impl StoppedBySignal {
    /// Returns the error for the number of a signal.
    pub(super) fn new(signal: i32) -> Self {
        Self {
            signal: u8::try_from(signal).unwrap_or_default(),
        }
    }

    /// Returns the exit code of a process that the signal itself has ended, as shells report it.
    pub(super) fn exit_code(&self) -> u8 {
        128_u8.saturating_add(self.signal)
    }
}
