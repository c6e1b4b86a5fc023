//! The log.

mod queue;
mod shorten;
mod text;
mod throttle;

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub use self::queue::Log;
pub use self::shorten::shorten;
use self::text::Text;
pub(crate) use self::throttle::LogThrottle;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

/// The log's target for who did what, or was refused.
pub const AUDIT: &str = "sessiond::audit";

/// Starts the log: to the standard output, at these levels (`info` unless set).
pub fn start(format: Option<LogFormat>, levels: Option<&str>) -> Log {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .parse_lossy(levels.unwrap_or_default());
    let is_terminal = io::stdout().is_terminal();
    let default = if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let (queues, guard) = queue::start(io::stdout);
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(is_terminal && wants_color(&io::stdout()))
        .with_writer(queues);
    let log = match format.unwrap_or(default) {
        LogFormat::Text => log.event_format(Text::new()).boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    // Both filters stand before the whole log, not before one layer of it: so each line of the code
    // is asked about once, and costs nothing from then on where it is not wanted. An error says
    // that a log was started before, as tests do.
    let _ = tracing_subscriber::registry()
        .with(log)
        .with(filter)
        .with(filter_fn(is_ours_or_harmless))
        .try_init();
    guard
}

/// Whether the environment lets a terminal be written to in colour, by the same rules as clap's
/// own output: `NO_COLOR` (<https://no-color.org>), `CLICOLOR` and `TERM`.
fn wants_color(output: &io::Stdout) -> bool {
    AutoStream::choice(output) != ColorChoice::Never
}

/// Whether an event may be logged at all. What the libraries below say in detail shows the bytes
/// that pass through them: contents, keys and tokens, which no log is to hold at any level.
fn is_ours_or_harmless(metadata: &Metadata<'_>) -> bool {
    let is_ours = metadata.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"));
    is_ours || *metadata.level() <= Level::INFO
}
