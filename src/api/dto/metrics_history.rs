//! The metrics of the last hour.

use serde::{Serialize, Serializer};
use serde_json::Number;
use utoipa::ToSchema;

use crate::metrics::{INTERVAL, Point};

/// Rounding of values: to microseconds, or a millionth of a core.
const STEPS_PER_UNIT: f64 = 1e6;

/// The metrics of the last hour.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct MetricsHistory {
    /// The time between two values. The last ones were measured within it.
    #[schema(example = 10)]
    interval_seconds: u64,
    series: MetricsSeries,
}

/// The series, all of the same length. Rates, counts and percentiles are those of an interval,
/// other values those at its end.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct MetricsSeries {
    /// Answered requests, per second.
    requests_per_second: MetricValues,
    /// Requests that were answered with a status of 500 or above, per second.
    errors_per_second: MetricValues,
    /// The time within which 95 % of the API's requests were answered, without event streams, in
    /// seconds; null without requests.
    request_p95_seconds: MetricValues,
    /// Writes to the database, per second. Those of a commit count one by one.
    writes_per_second: MetricValues,
    /// The time within which 95 % of the commits were on disk, in seconds; null without commits.
    commit_p95_seconds: MetricValues,
    /// Stored messages of users and agents, per second.
    messages_per_second: MetricValues,
    /// The number of failed turns.
    agent_failures: MetricValues,
    /// Open turns.
    turns_open: MetricValues,
    /// Active sessions.
    active_sessions: MetricValues,
    /// Connected sockets and open event streams of sessions.
    live_subscribers: MetricValues,
    /// The size of the database file, in bytes.
    database_bytes: MetricValues,
    /// The free space on its disk, in bytes.
    free_disk_bytes: MetricValues,
    /// The resident memory of the process, in bytes.
    resident_memory_bytes: MetricValues,
    /// The processor time of the process, as a share of one core: 1 is one core, 2 are two.
    cpu_share: MetricValues,
}

/// Values, oldest first. Null where nothing was measured.
#[derive(ToSchema)]
pub(in crate::api) struct MetricValues(Vec<Option<f64>>);

impl MetricsHistory {
    pub(in crate::api) fn new(points: &[Point]) -> Self {
        let series = |value: fn(&Point) -> Option<f64>| {
            let values = points.iter().map(value);
            MetricValues(values.collect())
        };
        Self {
            interval_seconds: INTERVAL.as_secs(),
            series: MetricsSeries {
                requests_per_second: series(|it| it.requests_per_second),
                errors_per_second: series(|it| it.errors_per_second),
                request_p95_seconds: series(|it| it.request_p95_seconds),
                writes_per_second: series(|it| it.writes_per_second),
                commit_p95_seconds: series(|it| it.commit_p95_seconds),
                messages_per_second: series(|it| it.messages_per_second),
                agent_failures: series(|it| it.agent_failures),
                turns_open: series(|it| it.turns_open),
                active_sessions: series(|it| it.active_sessions),
                live_subscribers: series(|it| it.live_subscribers),
                database_bytes: series(|it| it.database_bytes),
                free_disk_bytes: series(|it| it.free_disk_bytes),
                resident_memory_bytes: series(|it| it.resident_memory_bytes),
                cpu_share: series(|it| it.cpu_share),
            },
        }
    }
}

impl Serialize for MetricValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|value| value.map(number)))
    }
}

/// Returns a rounded number, without a fraction if it is whole.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn number(value: f64) -> Option<Number> {
    let rounded = (value * STEPS_PER_UNIT).round() / STEPS_PER_UNIT;
    if rounded.fract() == 0.0 {
        return Some(Number::from(rounded as i64));
    }
    Number::from_f64(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let values = [Some(42.0), None, Some(0.1 + 0.2), Some(1e-9), Some(2.5e12)];
        let values = MetricValues(values.into());
        let text = serde_json::to_string(&values).unwrap();
        assert_eq!(text, "[42,null,0.3,0,2500000000000]");
    }
}
