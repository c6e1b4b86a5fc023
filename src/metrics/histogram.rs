//! A histogram that observes without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Nanoseconds in a second.
const SECOND: f64 = 1e9;

/// The upper bounds of most durations, in seconds.
pub(super) const DURATIONS: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The upper bounds of an agent's answers, in seconds.
pub(super) const ANSWERS: &[f64] = &[
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];

/// The upper bounds of numbers of commands.
pub(super) const COMMANDS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

/// Counts observations by their size. A clone is the same histogram.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What a unit of the metric is in those that are counted.
    scale: f64,
    bounds: &'static [f64],
    /// One for each bound, and one for what is above them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// One of durations, with bounds in seconds.
    pub(super) fn of_durations(bounds: &'static [f64]) -> Self {
        Self::new(bounds, SECOND)
    }

    /// One of plain numbers.
    pub(super) fn of_numbers(bounds: &'static [f64]) -> Self {
        Self::new(bounds, 1.0)
    }

    fn new(bounds: &'static [f64], scale: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner {
            scale,
            bounds,
            counts,
            sum: AtomicU64::new(0),
        }))
    }

    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        self.count(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a number.
    pub fn observe_number(&self, number: usize) {
        self.count(number as u64);
    }

    #[allow(clippy::cast_precision_loss)] // Which bucket it is does not hang on the last bit.
    fn count(&self, units: u64) {
        let Inner {
            scale,
            bounds,
            counts,
            sum,
        } = &*self.0;
        let value = units as f64 / scale;
        let bucket = bounds.iter().position(|bound| value <= *bound);
        if let Some(count) = counts.get(bucket.unwrap_or(bounds.len())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sum.fetch_add(units, Ordering::Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    #[allow(clippy::cast_precision_loss)] // It is read to some digits.
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self
            .0
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = self.0.sum.load(Ordering::Relaxed) as f64 / self.0.scale;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn each_observation_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::of_durations(&[0.001, 0.01]);
        for micros in [1, 1000, 1001, 10_000, 10_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("h", "Help", histogram);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "h_bucket{le=\"0.001\"} 2",
            "h_bucket{le=\"0.01\"} 4",
            "h_bucket{le=\"+Inf\"} 5",
            "h_count 5",
            "h_sum 0.022003",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
