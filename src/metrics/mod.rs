//! The metrics of the running server, for Prometheus.
//!
//! Events are counted where they occur; values that can be read at any time are read at each
//! scrape.

mod agent_states;
mod drops;
mod durations;
mod families;
mod history;
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
use prometheus_client::registry::{Registry, Unit};

pub use self::agent_states::{AgentState, AgentStates, CauseNote, LastFailure};
use self::drops::ActivityDrops;
use self::families::Families;
pub use self::history::{INTERVAL, Point, PointHistory, Totals};
use self::process::Process;
pub use self::requests::{CLIENT_DISCONNECTED, RequestMetrics};
pub use self::state::GaugeValues;
pub use self::store::StoreMetrics;
use crate::domain::id::AgentId;
use crate::events::DropCounter;

/// The text format of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Plain,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// Returns the format that an `Accept` header asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            return Self::OpenMetrics;
        }
        Self::Plain
    }

    /// Returns the media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The number of dropped log lines. A static, since the log belongs to the process and starts
/// before any server in it.
pub static LOG_LINES_DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The upper bounds of the buckets of agents' replies, in seconds.
const REPLIES: [f64; 15] = [
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    /// Durations of requests.
    pub requests: RequestMetrics,
    /// Durations and tokens of agents' replies, and how their turns ended.
    pub agents: AgentMetrics,
    /// Sessions that expired while the server was running.
    pub expired: Counter,
    /// Sessions removed after their retention.
    pub purged: Counter,
    /// Seconds from the time of an expiry until it was processed.
    pub expiry_lag: Histogram,
    /// Duration of cleanups, in seconds.
    pub sweep: Histogram,
    /// Duration of searches, in seconds.
    pub searches: Histogram,
    /// Backups that failed.
    pub backup_failures: Counter,
    /// Connected sockets.
    pub sockets: Gauge,
    /// Open streams of a session's events.
    pub event_streams: Gauge,
    /// Open streams of an agent's work.
    pub agent_inbox_streams: Gauge,
    /// Open streams of a reply.
    pub reply_streams: Gauge,
    /// The metrics of the last hour.
    pub history: PointHistory,
    store: StoreMetrics,
    process: Registry,
    families: Families,
}

/// Durations and tokens of agents' replies, and how their turns ended. Clones share their values.
#[derive(Debug, Clone)]
pub struct AgentMetrics {
    durations: Family<[(&'static str, AgentId); 1], Histogram>,
    tokens: Family<TokenLabels, Counter>,
    /// How their turns ended.
    pub states: AgentStates,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    agent: AgentId,
    direction: &'static str,
}

impl AgentMetrics {
    /// Returns metrics without durations.
    #[must_use]
    pub fn new(states: AgentStates) -> Self {
        Self {
            durations: Family::new_with_constructor(|| Histogram::new(REPLIES)),
            tokens: Family::default(),
            states,
        }
    }

    /// Counts a reply or a failure by its duration.
    pub fn answered(&self, agent: AgentId, elapsed: Duration) {
        let histogram = self.durations.get_or_create(&[("agent", agent)]);
        histogram.observe(elapsed.as_secs_f64());
    }

    /// Counts tokens that a model has read and written for an agent.
    pub fn used(&self, agent: AgentId, input: u64, output: u64) {
        for (direction, tokens) in [("input", input), ("output", output)] {
            let labels = TokenLabels { agent, direction };
            self.tokens.get_or_create(&labels).inc_by(tokens);
        }
    }
}

/// Counts something as open in a gauge until it is dropped.
#[derive(Debug)]
pub struct OpenGauge(Gauge);

impl OpenGauge {
    /// Increments the gauge.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Returns all metrics, including those of the store.
    #[must_use]
    pub fn new(store: StoreMetrics, activity_drops: &DropCounter) -> Self {
        let mut process = Registry::default();
        process.register_collector(Box::new(Process::new()));
        let mut families = Families::new();
        let build: Family<_, Gauge> = families.add("build_info", "Version of the server");
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        build.get_or_create(&version).set(1);
        families.add_metric(
            "log_lines_dropped",
            "Log lines dropped because the output did not take them in time",
            LOG_LINES_DROPPED.clone(),
        );
        let dropped = ActivityDrops(activity_drops.clone());
        families.0.register_collector(Box::new(dropped));
        let agents = AgentMetrics::new(store.agents.clone());
        families.add_with_unit(
            "agent_answer_duration",
            "Time until an agent's reply or failure",
            Unit::Seconds,
            agents.durations.clone(),
        );
        families.add_metric(
            "agent_tokens",
            "Tokens that models have read (input) and written (output), as their servers count them",
            agents.tokens.clone(),
        );
        Self {
            requests: RequestMetrics::new(&mut families),
            agents,
            expired: families.add(
                "sessions_expired",
                "Sessions that expired while the server was running",
            ),
            purged: families.add("sessions_purged", "Sessions removed after their retention"),
            expiry_lag: families
                .add_duration("expiry_lag", "Time from an expiry until it was processed"),
            sweep: families.add_duration(
                "sweep_duration",
                "Duration of the removal of sessions whose retention is over",
            ),
            searches: families.add_duration(
                "search_duration",
                "Duration of searches of messages and sessions, without the wait for others",
            ),
            backup_failures: families.add("backup_failures", "Backups that failed"),
            sockets: families.add("sockets_open", "Connected sockets"),
            event_streams: families.add("event_streams_open", "Open streams of session events"),
            agent_inbox_streams: families.add(
                "agent_inbox_streams_open",
                "Open streams of an agent's work",
            ),
            reply_streams: families.add("reply_streams_open", "Open streams of replies"),
            history: PointHistory::default(),
            store,
            process,
            families,
        }
    }

    /// Reads what the history needs.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let process = process::usage();
        Totals {
            requests: self.requests.answered.get(),
            errors: self.requests.errors.get(),
            request_durations: self.requests.api.read(),
            writes: self.store.commands.get(),
            commit_durations: self.store.commits.read(),
            messages: self.store.stored.get(),
            agent_failures: self.agents.states.failures(),
            cpu_seconds: process.cpu_seconds,
            resident_bytes: process.resident_bytes,
            subscribers: self.sockets.get() + self.event_streams.get(),
        }
    }

    /// Returns all metrics as text. Without a state, its metrics have their defaults.
    #[must_use]
    pub fn text(&self, state: Option<GaugeValues>, format: Format) -> String {
        let (store, state) = (&self.store.families.0, state.unwrap_or_default().families());
        let mut text = String::new();
        // Writing to a string does not fail.
        for registry in [&self.process, &self.families.0, store, &state.0] {
            let _ = encode_registry(&mut text, registry);
        }
        let _ = encode_eof(&mut text);
        match format {
            Format::OpenMetrics => text,
            Format::Plain => plain(&text),
        }
    }
}

/// Converts `OpenMetrics` to the older format, which has no units and no end mark, and in whose
/// metadata the names of counters have their suffix `_total` too.
fn plain(text: &str) -> String {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let counters: HashSet<_> = types.filter_map(|it| it.strip_suffix(" counter")).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", "UNIT" | "EOF", ..] => continue,
            ["#", keyword, name, rest] if counters.contains(name) => {
                plain.extend(["# ", keyword, " ", name, "_total ", rest]);
            }
            _ => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
