//! When to stop, and when to read files again.

use std::future::Future;

use tokio::signal::unix::{self, Signal, SignalKind};

/// Begins to listen for SIGINT and SIGTERM, and waits for one of them.
///
/// From this call on, not only from the first poll, neither ends the process by itself: a stop
/// that is asked for during the start is as clean as a later one.
pub fn signal() -> impl Future<Output = ()> {
    let signal = signal_number();
    async {
        signal.await;
    }
}

/// As [`signal`], with the number of the one that came.
pub fn signal_number() -> impl Future<Output = i32> {
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
    let mut signal = Signals::new(kind);
    async move {
        if !signal.next().await {
            // Without a handler the signal ends the process by itself.
            std::future::pending::<()>().await;
        }
        kind.as_raw_value()
    }
}

/// The signals of a kind that the process gets, from the call on that made it.
#[derive(Debug)]
pub struct Signals(Option<Signal>);

/// Begins to listen for SIGHUP, which then no longer ends the process.
#[must_use]
pub fn hangups() -> Signals {
    Signals::new(SignalKind::hangup())
}

impl Signals {
    fn new(kind: SignalKind) -> Self {
        Self(unix::signal(kind).ok())
    }

    /// Waits for the next one; false where none can come any more.
    pub async fn next(&mut self) -> bool {
        match &mut self.0 {
            Some(signal) => signal.recv().await.is_some(),
            None => false,
        }
    }
}
