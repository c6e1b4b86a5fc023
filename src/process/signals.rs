//! The signals that stop the process, and the one that reloads files.

use std::future::Future;

use tokio::signal::unix::{self, SignalKind};

/// Starts to listen for SIGINT and SIGTERM. The future resolves at the first one.
///
/// Neither signal ends the process from this call on, not only from the first poll: a stop
/// requested during the start is as clean as a later one.
pub fn stop_signal() -> impl Future<Output = ()> {
    let number = stop_signal_number();
    async {
        number.await;
    }
}

/// Does the same as [`stop_signal`]. The future returns the number of the signal.
pub fn stop_signal_number() -> impl Future<Output = i32> {
    let interrupt = listen(SignalKind::interrupt());
    let terminate = listen(SignalKind::terminate());
    async {
        tokio::select! {
            number = interrupt => number,
            number = terminate => number,
        }
    }
}

fn listen(kind: SignalKind) -> impl Future<Output = i32> {
    let mut signals = Signals(unix::signal(kind).ok());
    async move {
        if !signals.next().await {
            // Without a handler the signal ends the process.
            std::future::pending::<()>().await;
        }
        kind.as_raw_value()
    }
}

/// A stream of signals of one kind, which no longer end the process.
#[derive(Debug)]
pub struct Signals(Option<unix::Signal>);

/// Starts to listen for SIGHUP.
#[must_use]
pub fn hangups() -> Signals {
    Signals(unix::signal(SignalKind::hangup()).ok())
}

/// Starts to listen for SIGINT.
#[must_use]
pub fn interrupts() -> Signals {
    Signals(unix::signal(SignalKind::interrupt()).ok())
}

/// Starts to listen for SIGTERM.
#[must_use]
pub fn terminations() -> Signals {
    Signals(unix::signal(SignalKind::terminate()).ok())
}

impl Signals {
    /// Waits for the next signal. Returns false if there can be none.
    pub async fn next(&mut self) -> bool {
        match &mut self.0 {
            Some(signal) => signal.recv().await.is_some(),
            None => false,
        }
    }
}
