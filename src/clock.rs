//! The clock: the system's, or one that tests move.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::domain::time::{Millis, Timestamp};

/// A backward step of the system clock beyond this is logged.
const NOTEWORTHY_STEP: Millis = Millis(1000);

/// The longest sleep of a wait for a wall-clock time, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The same for a wait that must notice it within a second.
const LONGEST_PROMPT_SLEEP: Duration = Duration::from_millis(500);

/// The source of time. Clones share it.
///
/// ```
/// use std::time::Duration;
///
/// use sessiond::clock::Clock;
/// use sessiond::domain::time::Timestamp;
///
/// let (clock, hand) = Clock::manual(Timestamp(1_000));
/// assert_eq!(clock.now(), Timestamp(1_000));
/// hand.advance(Duration::from_secs(2));
/// assert_eq!(clock.now(), Timestamp(3_000));
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System {
        wall: fn() -> Timestamp,
        latest: Arc<AtomicI64>,
        started: Instant,
    },
    Manual(watch::Receiver<Timestamp>),
}

/// Moves a manual clock.
#[derive(Debug, Clone)]
pub struct ClockHand(Arc<watch::Sender<Timestamp>>);

impl Clock {
    /// Returns the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::with_wall(system_time)
    }

    fn with_wall(wall: fn() -> Timestamp) -> Self {
        Self(Kind::System {
            wall,
            latest: Arc::new(AtomicI64::new(i64::MIN)),
            started: Instant::now(),
        })
    }

    /// Creates a clock that stands still until its hand moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ClockHand) {
        let (hand, time) = watch::channel(start);
        (Self(Kind::Manual(time)), ClockHand(Arc::new(hand)))
    }

    /// Returns the current time. It is earlier than a previous one if the clock was set back.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System { wall, latest, .. } => {
                let now = wall();
                log_backward_step(latest, now);
                now
            }
            Kind::Manual(time) => *time.borrow(),
        }
    }

    /// Returns the time since a fixed moment. Setting the system's clock does not change it.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System { started, .. } => started.elapsed(),
            Kind::Manual(time) => time.borrow().since(Timestamp(0)).to_duration(),
        }
    }

    /// Waits until `time`. If the clock is set forward, the wait ends at most 30 s late.
    pub async fn sleep_until(&self, time: Timestamp) {
        self.sleep_in_steps(time, LONGEST_SLEEP).await;
    }

    /// Waits until `time`. If the clock is set forward, the wait ends within a second; for that it
    /// wakes twice a second.
    pub async fn sleep_until_promptly(&self, time: Timestamp) {
        self.sleep_in_steps(time, LONGEST_PROMPT_SLEEP).await;
    }

    async fn sleep_in_steps(&self, time: Timestamp, longest: Duration) {
        match &self.0 {
            Kind::System { .. } => loop {
                let left = time.since(self.now()).to_duration();
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(longest)).await;
            },
            Kind::Manual(now) => {
                // The hand is dropped only at the end of a test; then no time is ever reached.
                if now.clone().wait_for(|now| *now >= time).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits for a span of time. Setting the system's clock does not change it.
    pub async fn sleep(&self, span: Duration) {
        match &self.0 {
            Kind::System { .. } => tokio::time::sleep(span).await,
            Kind::Manual(_) => self.sleep_until(self.now() + span.into()).await,
        }
    }

    /// Waits until a value of [`monotonic`](Self::monotonic). Setting the system's clock does not
    /// change the wait.
    pub async fn sleep_until_monotonic(&self, time: Duration) {
        match &self.0 {
            Kind::System { started, .. } => {
                let started = tokio::time::Instant::from_std(*started);
                // Without an end, if the time cannot be represented.
                match started.checked_add(time) {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            }
            Kind::Manual(_) => self.sleep_until(Timestamp(0) + time.into()).await,
        }
    }

    /// Runs a future for at most a span of time; returns `None` if it timed out.
    pub async fn timeout<F: Future>(&self, span: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.sleep(span) => None,
        }
    }
}

impl ClockHand {
    /// Sets the time, which may be earlier than before.
    pub fn set(&self, time: Timestamp) {
        self.0.send_replace(time);
    }

    /// Moves the time forward.
    pub fn advance(&self, span: Duration) {
        self.0.send_modify(|now| *now = *now + span.into());
    }
}

/// Returns the time of the system's clock.
// The only place that reads it: `SystemTime`, since chrono computes a date first.
#[allow(clippy::disallowed_methods)]
pub(crate) fn system_time() -> Timestamp {
    timestamp_of(SystemTime::now())
}

/// Converts a system time, which may be before 1970 on a machine without a battery.
fn timestamp_of(time: SystemTime) -> Timestamp {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp(Millis::from(since).0),
        Err(before) => Timestamp(-Millis::from(before.duration()).0),
    }
}

fn log_backward_step(latest: &AtomicI64, now: Timestamp) {
    let before = Timestamp(latest.fetch_max(now.0, Ordering::Relaxed));
    if before.since(now) <= NOTEWORTHY_STEP {
        return;
    }
    // Of several threads that notice the step, the one that resets `latest` logs it.
    let swapped = latest.compare_exchange(before.0, now.0, Ordering::Relaxed, Ordering::Relaxed);
    if swapped.is_ok() {
        tracing::warn!(from = %before, to = %now, "the system clock stepped back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static WALL: AtomicI64 = AtomicI64::new(0);

    #[tokio::test(start_paused = true)]
    async fn a_wait_notices_within_a_second_that_the_clock_was_set_forward() {
        let wall = || Timestamp(WALL.load(Ordering::SeqCst));
        let clock = Clock::with_wall(wall);
        let hour = 3_600_000;
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until_promptly(Timestamp(hour)).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        let stepped = tokio::time::Instant::now();
        WALL.store(hour, Ordering::SeqCst);
        waiting.await.unwrap();
        assert!(stepped.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn a_system_time_before_1970_is_converted() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_millis(86_400_001);
        assert_eq!(timestamp_of(before), Timestamp(-86_400_001));
        assert_eq!(timestamp_of(before).to_string(), "1969-12-30T23:59:59.999Z");
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_it_is_moved() {
        let (clock, hand) = Clock::manual(Timestamp(1_000));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(Timestamp(5_000)).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hand.set(Timestamp(5_000));
        assert_eq!(sleeper.await.unwrap(), Timestamp(5_000));
    }
}
