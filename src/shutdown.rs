//! When to stop, and when to read files again.

use std::future::Future;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

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
    #[cfg(unix)]
    let (interrupt, terminate) = {
        use tokio::signal::unix::SignalKind;

        (
            listen(SignalKind::interrupt()),
            listen(SignalKind::terminate()),
        )
    };
    #[cfg(not(unix))]
    let (interrupt, terminate) = (ctrl_c(), std::future::pending());
    async {
        tokio::select! {
            () = interrupt => SIGINT,
            () = terminate => SIGTERM,
        }
    }
}

#[cfg(unix)]
fn listen(kind: tokio::signal::unix::SignalKind) -> impl Future<Output = ()> {
    let signal = tokio::signal::unix::signal(kind);
    async {
        match signal {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without a handler the signal ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The SIGHUPs that the process gets, from the call on that made it.
#[derive(Debug)]
pub struct Hangups {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

/// Begins to listen for SIGHUP, which then no longer ends the process.
#[must_use]
pub fn hangups() -> Hangups {
    Hangups {
        #[cfg(unix)]
        signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
    }
}

impl Hangups {
    /// Waits for the next one; false where none can come any more.
    #[cfg(unix)]
    pub async fn next(&mut self) -> bool {
        match &mut self.signal {
            Some(signal) => signal.recv().await.is_some(),
            None => false,
        }
    }

    /// There are none on this system.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> bool {
        false
    }
}

#[cfg(not(unix))]
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
