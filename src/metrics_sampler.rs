//! Samples the metrics for their history, ten seconds apart.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::metrics::{INTERVAL, Totals};

/// Samples the metrics.
#[derive(Debug)]
pub struct MetricsSampler {
    app: Arc<App>,
    ticks: Ticks,
    /// The previous reading.
    totals: Totals,
}

impl MetricsSampler {
    /// Creates a sampler whose first interval begins now.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let ticks = Ticks::new(app.clock().monotonic(), app.now());
        let totals = app.metrics().totals();
        Self { app, ticks, totals }
    }

    /// Samples until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let sampling = async {
            loop {
                self.ticks.wait(self.app.clock()).await;
                self.sample().await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(sampling).await;
    }

    async fn sample(&mut self) {
        let clock = self.app.clock();
        let tick = self.ticks.tick(clock.monotonic(), clock.now());
        // After missed ticks the counters have grown for longer than an interval.
        let interval = (tick.missed == 0).then_some((&self.totals, tick.elapsed));
        self.totals = self.app.record_metrics(tick.missed, interval).await;
    }
}

/// The ends of the intervals. A suspended machine misses ticks: its monotonic clock stops, unlike
/// the other one.
#[derive(Debug)]
struct Ticks {
    start: Duration,
    /// How long the machine was suspended since the start.
    suspended: Duration,
    /// The previous tick.
    last: (Duration, Timestamp),
    /// The number of intervals until then.
    count: u64,
}

/// The end of an interval.
#[derive(Debug, PartialEq, Eq)]
struct Tick {
    /// The time since the previous tick, without suspensions.
    elapsed: Duration,
    /// How many ticks were missed in between.
    missed: usize,
}

impl Ticks {
    fn new(monotonic: Duration, now: Timestamp) -> Self {
        Self {
            start: monotonic,
            suspended: Duration::ZERO,
            last: (monotonic, now),
            count: 0,
        }
    }

    async fn wait(&self, clock: &Clock) {
        clock.sleep_until_monotonic(self.next()).await;
    }

    /// Returns the monotonic time of the next tick.
    fn next(&self) -> Duration {
        let next = INTERVAL.saturating_mul(u32::try_from(self.count + 1).unwrap_or(u32::MAX));
        (self.start + next).saturating_sub(self.suspended)
    }

    fn tick(&mut self, monotonic: Duration, now: Timestamp) -> Tick {
        let elapsed = monotonic.saturating_sub(self.last.0);
        let suspended = now.since(self.last.1).to_duration().saturating_sub(elapsed);
        // A clock that is adjusted differs by less, and one that is set back by nothing.
        if suspended >= INTERVAL {
            self.suspended += suspended;
        }
        let total = (monotonic + self.suspended).saturating_sub(self.start);
        let count = total.as_secs() / INTERVAL.as_secs();
        let missed = count.saturating_sub(self.count + 1);
        self.last = (monotonic, now);
        self.count = count.max(self.count + 1);
        Tick {
            elapsed,
            missed: usize::try_from(missed).unwrap_or(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Returns what a tick finds, with both clocks in seconds.
    fn tick(ticks: &mut Ticks, monotonic: u64, wall: i64) -> (u64, usize) {
        let tick = ticks.tick(seconds(monotonic), Timestamp(wall * 1000));
        (tick.elapsed.as_secs(), tick.missed)
    }

    #[test]
    fn a_late_tick_does_not_move_the_next_one() {
        let mut ticks = Ticks::new(seconds(100), Timestamp(0));
        assert_eq!(ticks.next(), seconds(110));
        assert_eq!(tick(&mut ticks, 110, 10), (10, 0));
        assert_eq!(tick(&mut ticks, 127, 27), (17, 0));
        assert_eq!(ticks.next(), seconds(130));
        assert_eq!(tick(&mut ticks, 130, 30), (3, 0));
        // A process that did not run for a while.
        assert_eq!(tick(&mut ticks, 165, 65), (35, 2));
        assert_eq!(ticks.next(), seconds(170));
    }

    #[test]
    fn a_suspended_machine_misses_ticks() {
        let mut ticks = Ticks::new(seconds(100), Timestamp(0));
        assert_eq!(tick(&mut ticks, 110, 10), (10, 0));
        // Suspended for 63 s after 4 s.
        assert_eq!(tick(&mut ticks, 120, 83), (10, 6));
        assert_eq!(ticks.next(), seconds(127));
        assert_eq!(tick(&mut ticks, 127, 90), (7, 0));
        assert_eq!(ticks.next(), seconds(137));
    }

    #[test]
    fn a_clock_that_is_set_back_or_adjusted_changes_nothing() {
        let mut ticks = Ticks::new(seconds(100), Timestamp(0));
        assert_eq!(tick(&mut ticks, 110, -3600), (10, 0));
        assert_eq!(tick(&mut ticks, 120, -3585), (10, 0));
        assert_eq!(ticks.next(), seconds(130));
    }
}
