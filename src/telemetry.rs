//! The log.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts the log: to the standard output, at the levels of `RUST_LOG` (`info` unless set).
pub fn start(format: Option<LogFormat>) {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    let is_terminal = io::stdout().is_terminal();
    let default = if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal);
    // An error says that a log was started before, as tests do.
    let _ = match format.unwrap_or(default) {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
