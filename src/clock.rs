//! The clock: the system's, and one that tests move.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use crate::domain::time::{Millis, Timestamp};

/// A step of the system clock beyond this is logged.
const NOTEWORTHY_STEP: Millis = Millis(1000);

/// The longest sleep in one go, so that a wait for a wall-clock time notices a stepped clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The same for a wait that must notice it at once.
const LONGEST_PROMPT_SLEEP: Duration = Duration::from_millis(500);

/// Tells the time and waits for it.
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
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::of_wall(system_time)
    }

    /// A clock that takes the time of day from `wall`.
    fn of_wall(wall: fn() -> Timestamp) -> Self {
        Self(Kind::System {
            wall,
            latest: Arc::new(AtomicI64::new(i64::MIN)),
            started: Instant::now(),
        })
    }

    /// A clock that stands still until its hand moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> (Self, ClockHand) {
        let (hand, time) = watch::channel(start);
        (Self(Kind::Manual(time)), ClockHand(Arc::new(hand)))
    }

    /// The present time. It may be earlier than one that was told before.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System { wall, latest, .. } => {
                let now = wall();
                note_step(latest, now);
                now
            }
            Kind::Manual(time) => *time.borrow(),
        }
    }

    /// The time since some moment before, which no step of the system's clock changes.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Kind::System { started, .. } => started.elapsed(),
            Kind::Manual(time) => time.borrow().since(Timestamp(0)).to_duration(),
        }
    }

    /// Waits until it is `time`. Where the clock is set forward, the wait ends at most 30 s late.
    pub async fn sleep_until(&self, time: Timestamp) {
        self.sleep_in_steps(time, LONGEST_SLEEP).await;
    }

    /// Waits until it is `time`, and ends within a second where the clock is set forward. It wakes
    /// twice a second for that.
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
                // The hand is gone only when the test is over: then nothing is due any more.
                if now.clone().wait_for(|now| *now >= time).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits for a span of time, whatever happens to the wall clock.
    pub async fn sleep(&self, span: Duration) {
        match &self.0 {
            Kind::System { .. } => tokio::time::sleep(span).await,
            Kind::Manual(_) => {
                let span = Millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
                self.sleep_until(self.now() + span).await;
            }
        }
    }

    /// Runs a future for at most a span of time; none where the time is over first.
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

    /// Moves the time on.
    pub fn advance(&self, span: Duration) {
        let span = Millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        self.0.send_modify(|now| *now = *now + span);
    }
}

// The one place that reads the system's clock.
#[allow(clippy::disallowed_methods)]
fn system_time() -> Timestamp {
    // Not by chrono, which takes it for a date first.
    timestamp_of(SystemTime::now())
}

/// A reading of the system's clock, which may stand before 1970 where a machine has no battery.
fn timestamp_of(time: SystemTime) -> Timestamp {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp(millis(since)),
        Err(before) => Timestamp(-millis(before.duration())),
    }
}

fn note_step(latest: &AtomicI64, now: Timestamp) {
    let before = Timestamp(latest.fetch_max(now.0, Ordering::Relaxed));
    if before.since(now) <= NOTEWORTHY_STEP {
        return;
    }
    // Whoever sets the latest reading back says so; the others have nothing to add.
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
        let clock = Clock::of_wall(wall);
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
    fn a_clock_before_1970_is_read_as_it_stands() {
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
