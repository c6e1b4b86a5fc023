//! How long requests take, by method, route and status.
//!
//! Each combination has a cell of its own in a table, so that an observation is two additions.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::histogram::{DURATIONS, Histogram};
use super::route::{LABELS, Route};

const METHODS: [&str; 8] = [
    "GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "other",
];

/// Every status that the server answers with; 0 stands for any other.
const STATUSES: [u16; 25] = [
    101, 200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422,
    429, 500, 502, 503, 504, 0,
];

/// The requests answered so far. A clone is the same table.
#[derive(Clone)]
pub struct Requests(Arc<[OnceLock<Histogram>]>);

impl Default for Requests {
    fn default() -> Self {
        let cells = LABELS.len() * METHODS.len() * STATUSES.len();
        Self((0..cells).map(|_| OnceLock::new()).collect())
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    /// Counts a request by the time until the head of its answer; returns its route.
    pub fn observe(
        &self,
        method: &str,
        path: &str,
        status: u16,
        elapsed: Duration,
    ) -> &'static str {
        let method = place(&METHODS, &method);
        let status = place(&STATUSES, &status);
        let route = Route::of(path);
        let cell = (route as usize * METHODS.len() + method) * STATUSES.len() + status;
        if let Some(cell) = self.0.get(cell) {
            cell.get_or_init(|| Histogram::of_durations(DURATIONS))
                .observe(elapsed);
        }
        route.label()
    }
}

/// Where a value stands; the last place is that of all others.
fn place<T: PartialEq>(values: &[T], value: &T) -> usize {
    let found = values.iter().position(|known| known == value);
    found.unwrap_or(values.len() - 1)
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut requests = encoder.encode_descriptor(
            "http_request_duration",
            "The time from a request's head to the head of its answer",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for (cell, histogram) in self.0.iter().enumerate() {
            let Some(histogram) = histogram.get() else {
                continue;
            };
            let (rest, status) = (cell / STATUSES.len(), cell % STATUSES.len());
            let (route, method) = (rest / METHODS.len(), rest % METHODS.len());
            let status = match STATUSES[status] {
                0 => "other".to_owned(),
                status => status.to_string(),
            };
            let labels = [
                ("method", METHODS[method].to_owned()),
                ("route", LABELS[route].to_owned()),
                ("status", status),
            ];
            histogram.encode(requests.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn requests_are_told_apart_by_few_labels() {
        let requests = Requests::default();
        let elapsed = Duration::from_millis(2);
        requests.observe("GET", "/healthz", 200, elapsed);
        requests.observe("GET", "/healthz", 200, elapsed);
        requests.observe("BREW", "/a", 418, elapsed);
        requests.observe("BREW", "/b", 419, elapsed);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counts: Vec<_> = text
            .lines()
            .filter(|line| line.contains("_count{"))
            .collect();
        assert_eq!(
            counts,
            [
                "http_request_duration_seconds_count{method=\"GET\",route=\"/healthz\",status=\"200\"} 2",
                "http_request_duration_seconds_count{method=\"other\",route=\"unknown\",status=\"other\"} 2",
            ]
        );
    }
}
