//! The duration of requests, by method, route and status.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::durations::DurationCounters;
use super::families::{DURATIONS, Families};

const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"];

/// The status of a request whose client disconnected before the response, as nginx counts it.
pub const CLIENT_DISCONNECTED: u16 = 499;

/// The durations of requests.
#[derive(Debug)]
pub struct RequestMetrics {
    durations: Family<Labels, Histogram>,
    // The history needs sums, and the library's families cannot be read.
    pub(super) answered: Counter,
    pub(super) errors: Counter,
    /// Durations of the API's requests, without streams of events, whose head is sent at once.
    pub(super) api: DurationCounters,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    route: String,
    status: u16,
}

impl RequestMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let new: fn() -> Histogram = || Histogram::new(DURATIONS);
        let requests = Family::new_with_constructor(new);
        families.add_with_unit(
            "http_request_duration",
            "Time from the head of a request to the head of its response",
            Unit::Seconds,
            requests.clone(),
        );
        Self {
            durations: requests,
            answered: Counter::default(),
            errors: Counter::default(),
            api: DurationCounters::default(),
        }
    }

    /// Counts a request by the time until the head of its response. `route` and `status` must be
    /// from the server's own fixed sets: the number of label values must not depend on clients.
    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method);
        let labels = Labels {
            method: method.unwrap_or("other"),
            route: route.to_owned(),
            status,
        };
        let seconds = elapsed.as_secs_f64();
        self.durations.get_or_create(&labels).observe(seconds);
        self.answered.inc();
        if status >= 500 {
            self.errors.inc();
        }
        if route.starts_with("/api/") && !route.ends_with("/events") {
            self.api.observe(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_clients_invent_share_one_label() {
        let mut families = Families::new();
        let requests = RequestMetrics::new(&mut families);
        for method in ["GET", "GET", "BREW", "STEEP"] {
            requests.observe(method, "unknown", 405, Duration::from_millis(2));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &families.0).unwrap();
        let mut counts: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("sessiond_http_request_duration_seconds_count"))
            .collect();
        counts.sort_unstable();
        assert_eq!(
            counts,
            [
                "{method=\"GET\",route=\"unknown\",status=\"405\"} 2",
                "{method=\"other\",route=\"unknown\",status=\"405\"} 2",
            ]
        );
    }
}
