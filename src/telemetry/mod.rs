//! The log.

mod audit;
mod queue;
mod recent_log;
mod shorten;
mod text;
mod throttle;

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub use self::audit::AUDIT;
pub use self::queue::LogGuard;
pub use self::recent_log::{LogLine, RecentLog};
pub use self::shorten::shorten;
pub(crate) use self::throttle::LogThrottle;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// Starts the log on standard output. The default format is text on a terminal, else JSON; the
/// default filter is `info`. The filter applies to [`LogGuard::recent`] too.
pub fn start(format: Option<LogFormat>, filter: Option<&str>) -> LogGuard {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse_lossy(filter.unwrap_or_default());
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let is_text = format.map_or(is_terminal, |format| format == LogFormat::Text);
    let (queues, log) = queue::start(io::stdout);
    // Respects NO_COLOR (<https://no-color.org>), CLICOLOR and TERM, as clap's output does.
    let is_colored = is_terminal && AutoStream::choice(&stdout) != ColorChoice::Never;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(is_colored)
        .with_writer(queues);
    let layer = if is_text {
        layer.event_format(text::Text).boxed()
    } else {
        layer.json().flatten_event(true).boxed()
    };
    // Both filters apply to the whole subscriber, not to one layer: then each call site is
    // evaluated once, and costs nothing afterwards if it is disabled. An error means that a log was
    // already started, as in tests.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(log.recent().clone())
        .with(filter)
        .with(filter_fn(is_safe))
        .try_init();
    log
}

/// Starts to collect warnings and errors without an output, for a command whose output is not a log.
#[must_use]
pub fn collect() -> RecentLog {
    let log = RecentLog::default();
    // As above.
    let _ = tracing_subscriber::registry()
        .with(log.clone())
        .with(LevelFilter::WARN)
        .with(filter_fn(is_safe))
        .try_init();
    log
}

/// Whether an event may be logged at any level. The details that libraries log contain the bytes
/// that pass through them: messages, keys and tokens.
fn is_safe(metadata: &Metadata<'_>) -> bool {
    let is_own = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_own || *metadata.level() <= Level::INFO
}
