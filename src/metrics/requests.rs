//! How long requests take, by method, route and status.
//!
//! Each combination has a cell of its own in a table, so that an observation is a short search and
//! two additions.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::histogram::{DURATIONS, Histogram};

const METHODS: [&str; 8] = [
    "GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT", "other",
];

/// What stands for the status of a request whose client went away before it was answered, after
/// the custom of nginx.
pub const UNANSWERED: u16 = 499;

/// Every status that the server answers with; 0 stands for any other.
const STATUSES: [u16; 26] = [
    101, 200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 408, 409, 410, 413, 415, 422,
    429, UNANSWERED, 500, 502, 503, 504, 0,
];

/// More routes than the server has. What comes after them shares the last place.
const ROUTES: usize = 48;

/// The requests answered so far. A clone is the same table.
#[derive(Clone)]
pub struct Requests(Arc<[Row]>);

/// The requests of a route.
#[derive(Default)]
struct Row {
    /// The route, once there was a request of it.
    route: OnceLock<Box<str>>,
    cells: OnceLock<Box<[OnceLock<Histogram>]>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self((0..ROUTES).map(|_| Row::default()).collect())
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Requests {
    /// Counts a request by the time until the head of its answer. Its route is one of those that
    /// the server has: a label that hangs on what clients ask for could grow without end.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let cell = place(&METHODS, &method) * STATUSES.len() + place(&STATUSES, &status);
        let cells = self.row(route).cells.get_or_init(empty_cells);
        if let Some(cell) = cells.get(cell) {
            cell.get_or_init(|| Histogram::of_durations(DURATIONS))
                .observe(elapsed);
        }
    }

    fn row(&self, route: &str) -> &Row {
        let is_its = |row: &&Row| **row.route.get_or_init(|| route.into()) == *route;
        let last = &self.0[ROUTES - 1];
        self.0.iter().find(is_its).unwrap_or(last)
    }
}

fn empty_cells() -> Box<[OnceLock<Histogram>]> {
    let cells = METHODS.len() * STATUSES.len();
    (0..cells).map(|_| OnceLock::new()).collect()
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
            "The time from a request's head to the head of its answer.",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for row in self.0.iter() {
            let (Some(route), Some(cells)) = (row.route.get(), row.cells.get()) else {
                continue;
            };
            for (cell, histogram) in cells.iter().enumerate() {
                let Some(histogram) = histogram.get() else {
                    continue;
                };
                let status = match STATUSES[cell % STATUSES.len()] {
                    0 => "other".to_owned(),
                    status => status.to_string(),
                };
                let labels = [
                    ("method", METHODS[cell / STATUSES.len()].to_owned()),
                    ("route", route.to_string()),
                    ("status", status),
                ];
                histogram.encode(requests.encode_family(&labels)?)?;
            }
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
        requests.observe("BREW", "unknown", 418, elapsed);
        requests.observe("STEEP", "unknown", 419, elapsed);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let counts: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("http_request_duration_seconds_count"))
            .collect();
        assert_eq!(
            counts,
            [
                "{method=\"GET\",route=\"/healthz\",status=\"200\"} 2",
                "{method=\"other\",route=\"unknown\",status=\"other\"} 2",
            ]
        );
    }
}
