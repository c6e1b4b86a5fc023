//! Counting answers, and the numbers of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Counts the answers of a run.
pub(crate) struct Counter {
    latencies: Histogram<u64>,
    errors: BTreeMap<String, u64>,
    first_error: Option<String>,
    body_bytes: u64,
}

/// The numbers of a run, or the medians over runs. Times are in microseconds.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measurement {
    /// Good answers per second.
    pub(crate) per_second: f64,
    /// The median latency.
    pub(crate) p50: f64,
    /// The latency that one in a hundred answers exceeds.
    pub(crate) p99: f64,
    /// The latency that one in a thousand answers exceeds.
    pub(crate) p999: f64,
    /// The mean size of the bodies of good answers.
    pub(crate) body_bytes: f64,
    /// The server's processor time per good answer, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu: Option<f64>,
    /// The number of other answers by status, and of other errors.
    pub(crate) errors: BTreeMap<String, u64>,
    /// The text of the first error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
}

impl Counter {
    /// Returns an empty counter.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latencies: Histogram::new(3)?,
            errors: BTreeMap::new(),
            first_error: None,
            body_bytes: 0,
        })
    }

    /// Counts a good answer.
    pub(crate) fn good(&mut self, latency: Duration, body_bytes: usize) {
        // A resizing histogram rejects no value below `u64::MAX`.
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        let _ = self.latencies.record(nanos);
        self.body_bytes += body_bytes as u64;
    }

    /// Counts an error.
    pub(crate) fn bad(&mut self, kind: String, said: impl FnOnce() -> String) {
        *self.errors.entry(kind).or_default() += 1;
        self.first_error.get_or_insert_with(said);
    }

    /// Returns the number of good answers.
    pub(crate) fn count(&self) -> u64 {
        self.latencies.len()
    }

    /// Returns the numbers of a run of this length.
    pub(crate) fn measurement(&self, time: Duration) -> Measurement {
        let micros = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let count = self.latencies.len();
        Measurement {
            per_second: count as f64 / time.as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            body_bytes: self.body_bytes as f64 / count.max(1) as f64,
            server_cpu: None,
            errors: self.errors.clone(),
            first_error: self.first_error.clone(),
        }
    }
}

impl Measurement {
    /// Returns the median of each number; errors are added up.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let middle = |value: fn(&Self) -> f64| median(runs.iter().map(value));
        let cpu: Vec<f64> = runs.iter().filter_map(|run| run.server_cpu).collect();
        let mut errors = BTreeMap::new();
        for (kind, count) in runs.iter().flat_map(|run| &run.errors) {
            *errors.entry(kind.clone()).or_default() += count;
        }
        Self {
            per_second: middle(|run| run.per_second),
            p50: middle(|run| run.p50),
            p99: middle(|run| run.p99),
            p999: middle(|run| run.p999),
            body_bytes: middle(|run| run.body_bytes),
            server_cpu: (!cpu.is_empty()).then(|| median(cpu)),
            errors,
            first_error: runs.iter().find_map(|run| run.first_error.clone()),
        }
    }
}

/// Returns the median; 0 if there are no values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => 0.0,
        (Some(value), 1) => *value,
        (Some(value), _) => f64::midpoint(values[middle - 1], *value),
    }
}
