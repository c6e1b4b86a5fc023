//! The metrics of the last hour, in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::durations::DurationCounts;
use super::state::GaugeValues;

/// The time between two points.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// The most points: those of an hour.
const POINTS: usize = 360;

/// The most bytes that the points may take. The buffer never grows beyond [`POINTS`].
const MAX_BYTES: usize = 1 << 20;
const _: () = assert!(POINTS * size_of::<Point>() <= MAX_BYTES);

/// The quantile of durations.
const P95: f64 = 0.95;

/// The points of the last hour.
#[derive(Debug)]
pub struct PointHistory(Mutex<VecDeque<Point>>);

/// What was measured in an interval. Rates, counts and quantiles are those of the interval, other
/// values those at its end. `None` where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Requests that were answered or abandoned by their client, per second.
    pub requests_per_second: Option<f64>,
    /// Requests that were answered with a status of 500 or above, per second.
    pub errors_per_second: Option<f64>,
    /// 95 % of the API's requests were answered within this time, in seconds.
    pub request_p95_seconds: Option<f64>,
    /// Commands that were committed, per second.
    pub writes_per_second: Option<f64>,
    /// 95 % of the commits took no longer than this, in seconds.
    pub commit_p95_seconds: Option<f64>,
    /// Stored messages, per second.
    pub messages_per_second: Option<f64>,
    /// Turns that failed.
    pub agent_failures: Option<f64>,
    /// Open turns.
    pub turns_open: Option<f64>,
    /// Active sessions.
    pub active_sessions: Option<f64>,
    /// Connected sockets and open event streams.
    pub live_subscribers: Option<f64>,
    /// Size of the database file, in bytes.
    pub database_bytes: Option<f64>,
    /// Free space on its disk, in bytes.
    pub free_disk_bytes: Option<f64>,
    /// Resident memory of the process, in bytes.
    pub resident_memory_bytes: Option<f64>,
    /// Processor time of the process, as a share of one core.
    pub cpu_share: Option<f64>,
}

/// The counters from which the rates of the history are computed, and what else is read with them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) request_durations: DurationCounts,
    pub(super) writes: u64,
    pub(super) commit_durations: DurationCounts,
    pub(super) messages: u64,
    pub(super) agent_failures: u64,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) subscribers: i64,
}

impl Default for PointHistory {
    fn default() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(POINTS)))
    }
}

impl PointHistory {
    /// Adds a point, after `missed` ones without values.
    pub fn add(&self, missed: usize, point: Point) {
        let mut points = self.lock();
        let missed = missed.min(POINTS - 1);
        let excess = (points.len() + missed + 1).saturating_sub(POINTS);
        points.drain(..excess);
        let empty = std::iter::repeat_n(Point::default(), missed);
        points.extend(empty.chain([point]));
    }

    /// Returns the points, oldest first.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.lock().iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Point>> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Point {
    /// Returns the point of the interval between two readings, or of the later one only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    pub fn new(
        interval: Option<(&Totals, Duration)>,
        now: &Totals,
        values: Option<GaugeValues>,
    ) -> Self {
        let point = Self {
            turns_open: values.map(|values| values.open_turns as f64),
            active_sessions: values.map(|values| values.active as f64),
            live_subscribers: Some(now.subscribers as f64),
            database_bytes: values.map(|values| values.database_bytes as f64),
            free_disk_bytes: values
                .and_then(|values| values.free_on_disk)
                .map(|bytes| bytes as f64),
            resident_memory_bytes: now.resident_bytes.map(|bytes| bytes as f64),
            ..Self::default()
        };
        let Some((earlier, elapsed)) = interval.filter(|(_, elapsed)| !elapsed.is_zero()) else {
            return point;
        };
        let seconds = elapsed.as_secs_f64();
        let grown = |total: fn(&Totals) -> u64| total(now).saturating_sub(total(earlier)) as f64;
        let rate = |total: fn(&Totals) -> u64| Some(grown(total) / seconds);
        let p95 = |durations: fn(&Totals) -> DurationCounts| {
            durations(now).since(durations(earlier)).quantile(P95)
        };
        let cpu = now.cpu_seconds.zip(earlier.cpu_seconds);
        Self {
            requests_per_second: rate(|it| it.requests),
            errors_per_second: rate(|it| it.errors),
            request_p95_seconds: p95(|it| it.request_durations),
            writes_per_second: rate(|it| it.writes),
            commit_p95_seconds: p95(|it| it.commit_durations),
            messages_per_second: rate(|it| it.messages),
            agent_failures: Some(grown(|it| it.agent_failures)),
            cpu_share: cpu.map(|(now, earlier)| (now - earlier).max(0.0) / seconds),
            ..point
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_points_is_retained_and_missed_ones_have_no_values() {
        let history = PointHistory::default();
        let point = |turns| Point {
            turns_open: Some(turns),
            ..Point::default()
        };
        history.add(0, point(1.0));
        history.add(2, point(2.0));
        let open = || -> Vec<_> { history.points().iter().map(|it| it.turns_open).collect() };
        assert_eq!(open(), [Some(1.0), None, None, Some(2.0)]);
        history.add(usize::MAX, point(3.0));
        assert_eq!(open().len(), POINTS);
        assert_eq!(open().last(), Some(&Some(3.0)));
        assert_eq!(open().iter().flatten().count(), 1);
        for _ in 0..POINTS {
            history.add(0, point(4.0));
        }
        assert_eq!(open(), [Some(4.0); POINTS]);
    }

    #[test]
    fn rates_are_those_of_the_interval() {
        let earlier = Totals {
            requests: 100,
            messages: 7,
            agent_failures: 1,
            cpu_seconds: Some(1.5),
            ..Totals::default()
        };
        let now = Totals {
            requests: 150,
            messages: 7,
            agent_failures: 3,
            cpu_seconds: Some(4.0),
            resident_bytes: Some(1 << 20),
            subscribers: 3,
            ..Totals::default()
        };
        let elapsed = Duration::from_secs(10);
        let point = Point::new(Some((&earlier, elapsed)), &now, None);
        let expected = Point {
            requests_per_second: Some(5.0),
            errors_per_second: Some(0.0),
            request_p95_seconds: None,
            writes_per_second: Some(0.0),
            commit_p95_seconds: None,
            messages_per_second: Some(0.0),
            agent_failures: Some(2.0),
            turns_open: None,
            active_sessions: None,
            live_subscribers: Some(3.0),
            database_bytes: None,
            free_disk_bytes: None,
            resident_memory_bytes: Some(1_048_576.0),
            cpu_share: Some(0.25),
        };
        assert_eq!(point, expected);
        // After a gap, the counters have grown for longer than an interval.
        let later = Point::new(None, &now, None);
        assert_eq!(later.requests_per_second, None);
        assert_eq!(later.live_subscribers, Some(3.0));
    }
}
