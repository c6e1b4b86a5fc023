//! Limits of scans: how many run and wait at once, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{AppError, Unavailable};
use crate::clock::Clock;

/// How long a scan may take.
pub const SCAN_BUDGET: Duration = Duration::from_millis(250);

/// The most scans that wait for others.
const MAX_WAITING: usize = 16;

/// Limits the scans that run and wait at once.
#[derive(Debug)]
pub(super) struct Scans {
    /// One permit for every second core.
    running: Arc<Semaphore>,
    waiting: Semaphore,
    pub(super) budget: Duration,
}

/// Says when a scan must end: its time is over, or its client has disconnected.
#[derive(Debug)]
pub(super) struct ScanTimer {
    clock: Clock,
    end: Duration,
    abandoned: Arc<AtomicBool>,
}

/// Ends a scan when its client disconnects, which drops this.
#[derive(Debug, Default)]
pub(super) struct Abandon(Arc<AtomicBool>);

impl Scans {
    pub(super) fn new(budget: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            running: Arc::new(Semaphore::new((cores / 2).max(1))),
            waiting: Semaphore::new(MAX_WAITING),
            budget,
        }
    }

    /// Waits until a scan may run. Scans run in the order of their arrival.
    pub(super) async fn admit(&self) -> Result<OwnedSemaphorePermit, AppError> {
        if let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() {
            return Ok(permit);
        }
        let overloaded = |_| AppError::Unavailable(Unavailable::Overloaded);
        let _waiting = self.waiting.try_acquire().map_err(overloaded)?;
        let permit = Arc::clone(&self.running).acquire_owned().await;
        permit.map_err(|_| AppError::Internal)
    }
}

impl ScanTimer {
    /// Starts the timer of a scan.
    pub(super) fn start(clock: Clock, budget: Duration, abandon: &Abandon) -> Self {
        Self {
            end: clock.monotonic() + budget,
            clock,
            abandoned: Arc::clone(&abandon.0),
        }
    }

    /// Returns whether the scan must end.
    pub(super) fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.clock.monotonic() >= self.end
    }
}

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scans() -> Scans {
        Scans {
            running: Arc::new(Semaphore::new(1)),
            ..Scans::new(SCAN_BUDGET)
        }
    }

    #[tokio::test]
    async fn sixteen_scans_wait_and_further_ones_are_refused() {
        let scans = Arc::new(scans());
        let running = scans.admit().await.unwrap();
        let wait = || {
            let scans = Arc::clone(&scans);
            tokio::spawn(async move { scans.admit().await.map(drop) })
        };
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| wait()).collect();
        while scans.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = scans.admit().await;
        let overloaded = AppError::Unavailable(Unavailable::Overloaded);
        assert_eq!(
            format!("{:?}", refused.map(drop)),
            format!("{:?}", Err::<(), _>(overloaded))
        );
        // A client that disconnects frees its place.
        waiting[3].abort();
        while scans.waiting.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        let last = wait();
        while scans.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        drop(running);
        for (at, scan) in waiting.into_iter().chain([last]).enumerate() {
            assert_eq!(scan.await.is_ok(), at != 3, "{at}");
        }
        assert_eq!(scans.running.available_permits(), 1);
    }

    #[test]
    fn a_scan_ends_with_its_time_or_its_client() {
        let (clock, hand) = Clock::manual(crate::domain::time::Timestamp(1000));
        let timer = |abandon: &Abandon| ScanTimer::start(clock.clone(), SCAN_BUDGET, abandon);
        let abandon = Abandon::default();
        let first = timer(&abandon);
        assert!(!first.is_over());
        hand.advance(SCAN_BUDGET);
        assert!(first.is_over());
        let second = timer(&abandon);
        assert!(!second.is_over());
        drop(abandon);
        assert!(second.is_over());
    }
}
