//! The figures of the running server, for Prometheus and for the console.
//!
//! Those who know a figure count it where it arises; what has to be asked for is asked for at each
//! scrape. On the way of a request no lock is taken and nothing is allocated.

mod histogram;
mod process;
mod requests;
mod store;

use std::collections::HashSet;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

pub use self::histogram::Histogram;
use self::histogram::{ANSWERS, DURATIONS};
use self::process::Process;
#[cfg(test)]
pub(crate) use self::process::resident_bytes;
pub use self::requests::{Requests, UNANSWERED};
pub use self::store::StoreMeters;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// How the figures are written.
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

/// The pages that redb counts, in bytes.
const PAGE_BYTES: u64 = 4096;

/// All figures.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The requests.
    pub requests: Requests,
    /// What the agents take.
    pub agents: AgentMeters,
    /// What happens by the clock alone.
    pub clock: ClockMeters,
    /// Sockets that are open.
    pub sockets: Gauge,
    /// Streams of a session's events that are open.
    pub event_streams: Gauge,
    /// Streams of a reply that are open.
    pub reply_streams: Gauge,
    state: StateMeters,
}

/// How long agents take. A clone is the same figures.
#[derive(Debug, Clone)]
pub struct AgentMeters {
    answers: Family<AgentLabel, Histogram, fn() -> Histogram>,
}

/// What happens by the clock alone. A clone is the same figures.
#[derive(Debug, Clone)]
pub struct ClockMeters {
    /// Sessions that expired while the server was running.
    pub expired: Counter,
    /// Sessions that were removed past their keeping.
    pub purged: Counter,
    /// How long after its instant an expiry was dealt with.
    pub lag: Histogram,
    /// How long the sweeps took.
    pub sweep: Histogram,
}

/// How things stand at a scrape.
#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    /// Sessions that can be used.
    pub active: u64,
    /// Active sessions within their warning threshold.
    pub expiring_soon: u64,
    /// Sessions that have expired and are still kept.
    pub kept: u64,
    /// Sessions whose records are damaged.
    pub invalid: u64,
    /// Messages that are stored.
    pub messages: u64,
    /// Turns that are open.
    pub open_turns: u64,
    /// The size of the database's file.
    pub database_bytes: u64,
    /// How much of it was in use when that was last measured; none before.
    pub database_used_bytes: Option<u64>,
    /// Whether writes are taken, as far as is known.
    pub is_healthy: bool,
    /// How many faults the last complete verification of the file found.
    pub damaged_pages: u64,
    /// When that ended; none before the first one.
    pub verified_at: Option<Timestamp>,
}

/// Something that is open and counted until it is dropped.
#[derive(Debug)]
pub struct Open(Gauge);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AgentLabel {
    agent: AgentId,
}

#[derive(Debug, Default)]
struct StateMeters {
    active: Gauge,
    expiring_soon: Gauge,
    kept: Gauge,
    invalid: Gauge,
    messages: Gauge,
    open_turns: Gauge,
    database: Gauge,
    /// Not a number until it is measured.
    free_pages: Gauge<f64, AtomicU64>,
    healthy: Gauge,
    damaged_pages: Gauge,
    /// In seconds of the epoch.
    verified: Gauge<f64, AtomicU64>,
}

impl Default for AgentMeters {
    fn default() -> Self {
        Self {
            answers: Family::new_with_constructor(|| Histogram::of_durations(ANSWERS)),
        }
    }
}

impl Default for ClockMeters {
    fn default() -> Self {
        Self {
            expired: Counter::default(),
            purged: Counter::default(),
            lag: Histogram::of_durations(DURATIONS),
            sweep: Histogram::of_durations(DURATIONS),
        }
    }
}

impl AgentMeters {
    /// Counts an answer, or its failing, by the time it took.
    pub fn answered(&self, agent: AgentId, elapsed: Duration) {
        self.answers
            .get_or_create(&AgentLabel { agent })
            .observe(elapsed);
    }
}

impl Open {
    /// One more that is open.
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
    /// The figures, with those of the store.
    #[must_use]
    pub fn new(store: &StoreMeters) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::new()));
        let ours = registry.sub_registry_with_prefix("sessiond");
        let build = Family::<[(&str, &str); 1], Gauge>::default();
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        build.get_or_create(&version).set(1);
        ours.register("build_info", "The server's version", build);
        ours.register(
            "log_lines_dropped",
            "Log lines that were dropped because the output did not take them in time",
            LOG_LINES_DROPPED.clone(),
        );
        let state = StateMeters::default();
        state.register(ours);
        store.register(ours);
        let clock = ClockMeters::default();
        clock.register(ours);
        let agents = AgentMeters::default();
        ours.register_with_unit(
            "agent_answer_duration",
            "How long agents took to answer, or to fail",
            Unit::Seconds,
            agents.answers.clone(),
        );
        let requests = Requests::default();
        ours.register_collector(Box::new(requests.clone()));
        let open = |registry: &mut Registry, name, help| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let sockets = open(ours, "sockets_open", "Sockets that are connected");
        let event_streams = open(
            ours,
            "event_streams_open",
            "Streams of a session's events that are open",
        );
        let reply_streams = open(
            ours,
            "reply_streams_open",
            "Streams of a reply that are open",
        );
        Self {
            registry,
            requests,
            agents,
            clock,
            sockets,
            event_streams,
            reply_streams,
            state,
        }
    }

    /// All figures as text, with how things stand; none that cannot be told.
    #[must_use]
    pub fn text(&self, state: Option<State>, format: Format) -> String {
        self.state.set(state.unwrap_or_default());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
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

impl ClockMeters {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "sessions_expired",
            "Sessions that expired while the server was running",
            self.expired.clone(),
        );
        registry.register(
            "sessions_purged",
            "Sessions that were removed past their keeping",
            self.purged.clone(),
        );
        registry.register_with_unit(
            "expiry_lag",
            "How long after its instant an expiry was dealt with",
            Unit::Seconds,
            self.lag.clone(),
        );
        registry.register_with_unit(
            "sweep_duration",
            "How long the removal of sessions past their keeping took",
            Unit::Seconds,
            self.sweep.clone(),
        );
    }
}

impl StateMeters {
    fn register(&self, registry: &mut Registry) {
        for (name, help, gauge) in [
            ("sessions_active", "Sessions that can be used", &self.active),
            (
                "sessions_expiring_soon",
                "Active sessions within their warning threshold",
                &self.expiring_soon,
            ),
            (
                "sessions_kept",
                "Sessions that have expired and are still kept",
                &self.kept,
            ),
            (
                "sessions_invalid",
                "Sessions met with whose records are damaged",
                &self.invalid,
            ),
            (
                "messages_stored",
                "Messages that are stored",
                &self.messages,
            ),
            ("turns_open", "Turns that are open", &self.open_turns),
            (
                "healthy",
                "Whether writes are taken: 1, or 0 where a commit failed, there is no free space, or \
                 the database file is not at its path",
                &self.healthy,
            ),
            (
                "database_damaged_pages",
                "Faults in pages, index rows and counters that the last verification found",
                &self.damaged_pages,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "database_size",
            "The size of the database's file",
            Unit::Bytes,
            self.database.clone(),
        );
        registry.register_with_unit(
            "database_verified_timestamp",
            "When the last complete verification of the database ended; 0 where there was none",
            Unit::Seconds,
            self.verified.clone(),
        );
        registry.register(
            "database_free_pages",
            "Pages of 4096 bytes in the database's file that hold nothing, as last measured",
            self.free_pages.clone(),
        );
    }

    fn set(&self, state: State) {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.active, state.active);
        set(&self.expiring_soon, state.expiring_soon);
        set(&self.kept, state.kept);
        set(&self.invalid, state.invalid);
        set(&self.messages, state.messages);
        set(&self.open_turns, state.open_turns);
        set(&self.database, state.database_bytes);
        set(&self.healthy, state.is_healthy.into());
        set(&self.damaged_pages, state.damaged_pages);
        let verified = state.verified_at.map_or(0, |at| at.0.max(0));
        // Exact below 2^53 milliseconds.
        #[allow(clippy::cast_precision_loss)]
        self.verified.set(verified as f64 / 1000.0);
        let used = state.database_used_bytes;
        let free = used.map(|used| state.database_bytes.saturating_sub(used) / PAGE_BYTES);
        // Exact below 2^53 pages.
        #[allow(clippy::cast_precision_loss)]
        self.free_pages
            .set(free.map_or(f64::NAN, |pages| pages as f64));
    }
}
