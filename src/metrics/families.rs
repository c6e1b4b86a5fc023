//! Registers metrics as it creates them.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

/// The upper bounds of the buckets of most durations, in seconds.
pub(super) const DURATIONS: [f64; 16] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// A registry whose metrics have the prefix `sessiond_`.
#[derive(Debug)]
pub(super) struct Families(pub(super) Registry);

impl Families {
    pub(super) fn new() -> Self {
        Self(Registry::with_prefix("sessiond"))
    }

    pub(super) fn add<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        self.add_metric(name, help, M::default())
    }

    pub(super) fn add_metric<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    pub(super) fn add_with_unit(
        &mut self,
        name: &str,
        help: &str,
        unit: Unit,
        metric: impl Metric,
    ) {
        self.0.register_with_unit(name, help, unit, metric);
    }

    pub(super) fn add_duration(&mut self, name: &str, help: &str) -> Histogram {
        let histogram = Histogram::new(DURATIONS);
        self.add_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
}
