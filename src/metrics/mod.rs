//! The metrics of the running server, for Prometheus and for the console.
//!
//! What happens is counted where it happens; what can be read at any time is read at each scrape.

mod families;
mod process;
mod requests;
mod state;
mod store;

use std::collections::HashSet;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::families::Families;
use self::process::Process;
pub use self::requests::{Requests, UNANSWERED};
pub use self::state::State;
pub use self::store::StoreMeters;
use crate::domain::id::AgentId;

/// The text formats of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As Prometheus always had it, version 0.0.4.
    Plain,
    /// As `OpenMetrics` 1.0.0, for those who ask for it.
    OpenMetrics,
}

impl Format {
    /// Which format an `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            return Self::OpenMetrics;
        }
        Self::Plain
    }

    /// The media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The log lines that were dropped. A static, as the log itself belongs to the process and starts
/// before any server in it.
pub static LOG_LINES_DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The upper bounds of an agent's answers, in seconds.
const ANSWERS: [f64; 15] = [
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// The requests.
    pub requests: Requests,
    /// What the agents take.
    pub agents: AgentMeters,
    /// Sessions that expired while the server was running.
    pub expired: Counter,
    /// Sessions that were removed past their retention.
    pub purged: Counter,
    /// Seconds from the instant of an expiry until it was dealt with.
    pub expiry_lag: Histogram,
    /// Seconds that the sweeps took.
    pub sweep: Histogram,
    /// Sockets that are open.
    pub sockets: Gauge,
    /// Streams of a session's events that are open.
    pub event_streams: Gauge,
    /// Streams of a reply that are open.
    pub reply_streams: Gauge,
    store: StoreMeters,
    process: Registry,
    families: Families,
}

/// How long agents take. A clone is the same metrics.
#[derive(Debug, Clone)]
pub struct AgentMeters(Family<AgentLabel, Histogram>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgentLabel {
    agent: AgentId,
}

/// Something that is open and counted until it is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

impl Default for AgentMeters {
    fn default() -> Self {
        Self(Family::new_with_constructor(|| Histogram::new(ANSWERS)))
    }
}

impl AgentMeters {
    /// Counts an answer, or its failing, by the time it took.
    pub fn answered(&self, agent: AgentId, elapsed: Duration) {
        let histogram = self.0.get_or_create(&AgentLabel { agent });
        histogram.observe(elapsed.as_secs_f64());
    }
}

impl Open {
    /// Counts one more that is open.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Returns the metrics, with those of the store.
    #[must_use]
    pub fn new(store: StoreMeters) -> Self {
        let mut process = Registry::default();
        process.register_collector(Box::new(Process::new()));
        let mut families = Families::new();
        let build = Family::<[(&str, &str); 1], Gauge>::default();
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        build.get_or_create(&version).set(1);
        families.add_metric("build_info", "The server's version", build);
        families.add_metric(
            "log_lines_dropped",
            "Log lines that were dropped because the output did not take them in time",
            LOG_LINES_DROPPED.clone(),
        );
        let agents = AgentMeters::default();
        families.add_seconds(
            "agent_answer_duration",
            "How long agents took to answer, or to fail",
            agents.0.clone(),
        );
        Self {
            requests: Requests::new(&mut families),
            agents,
            expired: families.add(
                "sessions_expired",
                "Sessions that expired while the server was running",
            ),
            purged: families.add(
                "sessions_purged",
                "Sessions that were removed past their keeping",
            ),
            expiry_lag: families.add_duration(
                "expiry_lag",
                "How long after its instant an expiry was dealt with",
            ),
            sweep: families.add_duration(
                "sweep_duration",
                "How long the removal of sessions past their keeping took",
            ),
            sockets: families.add("sockets_open", "Sockets that are connected"),
            event_streams: families.add(
                "event_streams_open",
                "Streams of a session's events that are open",
            ),
            reply_streams: families.add("reply_streams_open", "Streams of a reply that are open"),
            store,
            process,
            families,
        }
    }

    /// Returns all metrics as text, with how things stand; none that cannot be told.
    #[must_use]
    pub fn text(&self, state: Option<State>, format: Format) -> String {
        let state = state.unwrap_or_default().families();
        let registries = [
            &self.process,
            &self.families.0,
            &self.store.families.0,
            &state.0,
        ];
        let mut text = String::new();
        // Writing to a string does not fail.
        for registry in registries {
            let _ = encode_registry(&mut text, registry);
        }
        let _ = encode_eof(&mut text);
        match format {
            Format::OpenMetrics => text,
            Format::Plain => plain(&text),
        }
    }
}

/// `OpenMetrics` in the older format, which knows no units and no end, and in which a counter's name
/// has its ending everywhere.
fn plain(text: &str) -> String {
    let mut counters = HashSet::new();
    for line in text.lines() {
        let name = line.strip_prefix("# TYPE ");
        counters.extend(name.and_then(|name| name.strip_suffix(" counter")));
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (hash, kind) = (words.next(), words.next());
        let name = words.next().unwrap_or_default();
        match (hash, kind) {
            (Some("#"), Some("UNIT" | "EOF")) => continue,
            (Some("#"), Some(kind)) if counters.contains(name) => {
                let rest = words.next().unwrap_or_default();
                plain.extend(["# ", kind, " ", name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
