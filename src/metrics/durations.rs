//! Durations counted by bucket, for the history: those of the library's histograms cannot be read.

use std::array;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::families::DURATIONS;

/// The buckets of [`DURATIONS`], and one for what is longer.
const BUCKETS: usize = DURATIONS.len() + 1;

/// Durations counted by bucket since the start. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(super) struct DurationCounters(Arc<[AtomicU64; BUCKETS]>);

/// The counts of [`DurationCounters`] at one time, or within a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct DurationCounts([u64; BUCKETS]);

impl DurationCounters {
    pub(super) fn observe(&self, seconds: f64) {
        let bucket = DURATIONS.partition_point(|bound| *bound < seconds);
        self.0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> DurationCounts {
        DurationCounts(array::from_fn(|at| self.0[at].load(Ordering::Relaxed)))
    }
}

impl DurationCounts {
    /// Returns the counts since an earlier time.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self(array::from_fn(|at| {
            self.0[at].saturating_sub(earlier.0[at])
        }))
    }

    /// Returns a quantile in seconds, interpolated within its bucket as Prometheus does; none
    /// without durations.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 durations")]
    pub(super) fn quantile(self, share: f64) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        if total == 0 {
            return None;
        }
        let wanted = share * total as f64;
        let (mut below, mut bound_below) = (0, 0.0);
        for (bound, count) in DURATIONS.into_iter().zip(self.0) {
            if (below + count) as f64 >= wanted {
                let inside = (wanted - below as f64) / count as f64;
                return Some(bound_below + (bound - bound_below) * inside);
            }
            (below, bound_below) = (below + count, bound);
        }
        // Longer durations are reported as the largest bound.
        Some(bound_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(durations: &[f64]) -> DurationCounts {
        let counters = DurationCounters::default();
        for seconds in durations {
            counters.observe(*seconds);
        }
        counters.read()
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        assert_eq!(counted(&[]).quantile(0.95), None);
        assert_eq!(
            counted(&[1.0]).quantile(1.0),
            Some(1.0),
            "a bound is in its bucket"
        );
        assert_eq!(counted(&[60.0; 3]).quantile(0.95), Some(10.0));
        // 10 of 20 lie up to 0.1, 19 up to 0.5, so that the 15th is 5/9 of the way from 0.25.
        let mut durations = vec![0.08; 10];
        durations.extend([0.3; 9]);
        durations.push(2.0);
        let median = counted(&durations).quantile(0.75).unwrap();
        assert!(
            (median - (0.25 + 0.25 * 5.0 / 9.0)).abs() < 1e-9,
            "{median}"
        );
    }

    #[test]
    fn counts_can_be_subtracted() {
        let counters = DurationCounters::default();
        counters.observe(0.3);
        let earlier = counters.read();
        assert_eq!(counters.read().since(earlier).quantile(0.5), None);
        counters.observe(7.0);
        assert_eq!(counters.read().since(earlier), counted(&[7.0]));
    }
}
