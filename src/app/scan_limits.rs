//! Limits of scans: how many run and wait at once, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{AppError, Unavailable};
use crate::clock::Clock;

/// The most scans that wait for others.
const MAX_WAITING: usize = 16;

/// The limits of scans.
#[derive(Debug, Clone, Copy)]
pub struct ScanLimits {
    /// How many run at once.
    pub running: usize,
    /// How long each of them may take.
    pub budget: Duration,
}

/// Limits the scans that run and wait at once.
#[derive(Debug)]
pub(super) struct Scans {
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

impl Default for ScanLimits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            running: (cores / 2).max(1),
            budget: Duration::from_millis(250),
        }
    }
}

impl Scans {
    pub(super) fn new(limits: ScanLimits) -> Self {
        Self {
            running: Arc::new(Semaphore::new(limits.running)),
            waiting: Semaphore::new(MAX_WAITING),
            budget: limits.budget,
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

    const BUDGET: Duration = Duration::from_millis(250);

    #[tokio::test]
    async fn sixteen_scans_wait_and_further_ones_are_refused() {
        let limits = ScanLimits {
            running: 1,
            ..ScanLimits::default()
        };
        let scans = Arc::new(Scans::new(limits));
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
        let timer = |abandon: &Abandon| ScanTimer::start(clock.clone(), BUDGET, abandon);
        let abandon = Abandon::default();
        let first = timer(&abandon);
        assert!(!first.is_over());
        hand.advance(BUDGET);
        assert!(first.is_over());
        let second = timer(&abandon);
        assert!(!second.is_over());
        drop(abandon);
        assert!(second.is_over());
    }
}
