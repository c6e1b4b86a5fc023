//! The configuration. Nothing else reads arguments or the environment.

mod access;
mod declaration;
#[cfg(test)]
mod documents_tests;
pub mod env_file;
mod input_file;
mod layers;
mod log_filter;
mod names;
mod secret;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use self::declaration::{DataSettings, ServerSettings, SessionSettings, Settings};
pub use self::declaration::{SETTINGS, Setting};
pub use self::layers::Layers;
use self::values::Number;
use crate::agents::variables::Variables;
use crate::auth::Policy;
use crate::domain::rules::Rules;
use crate::domain::time::{Millis, TimeScale};
use crate::domain::timeout::{TimeoutConfig, TimeoutPolicy};
use crate::telemetry::LogFormat;

/// How many bytes of pages fit into a megabyte: redb counts pages of 4 KiB, but each has a header
/// where it is allocated, and what is a little over 4 KiB takes 5 KiB of memory.
const PAGES_OF_A_MEGABYTE: usize = (1 << 20) / 5 * 4;

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// On which the rules of sessions depend.
    pub rules: Rules,
    /// How often sessions past their keeping are removed.
    pub cleanup_interval: Millis,
    /// How often the database file is verified; none for never, not at the start either.
    pub verify_interval: Option<Millis>,
    /// Whether a stop removes all sessions and messages.
    pub clear_on_shutdown: bool,
    /// Where the data is.
    pub storage: StorageConfig,
    /// How the server is reached.
    pub server: ServerConfig,
    /// Who may do what.
    pub guard: Policy,
    /// How the log is written; none to decide by whether it goes to a terminal.
    pub log_format: Option<LogFormat>,
    /// The levels of the log, as `RUST_LOG` has them; none where that is not set.
    pub log_levels: Option<String>,
    /// The variables that character files may name.
    pub environment: Variables,
    /// What was put right, for the log.
    pub warnings: Vec<String>,
}

/// A setting that stops the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Where the data is.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The folder of the database and the agents.
    pub data_dir: PathBuf,
    /// How many bytes of pages the database caches.
    pub cache_bytes: usize,
}

/// How the server is reached.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The host as it was given.
    pub host: String,
    /// The addresses that it stands for, with the port.
    pub addresses: Vec<SocketAddr>,
    /// The most connections at once.
    pub max_connections: usize,
    /// How long an idle connection stays open between requests.
    pub keep_alive: Duration,
}

impl Config {
    /// Reads and validates every setting.
    ///
    /// # Errors
    /// A value is unreadable or not allowed.
    pub fn read(mut layers: Layers) -> Result<Self, ConfigError> {
        let mut warnings = std::mem::take(&mut layers.warnings);
        names::refuse_settings_to_come(&layers)?;
        let log_levels = log_filter::read(&layers)?;
        let settings = Settings::read(&layers, &mut warnings)?;
        let log_format = settings.server.log_format;
        let server = server(settings.server);
        let max_sessions_per_user = settings.access.max_sessions_per_user.value;
        let guard = access::policy(settings.access, &server, &layers, &mut warnings)?;
        let scale = time_scale(&settings.sessions.session_time_scale, &server, &layers)?;
        let policy = policy(&settings.sessions, &layers, &mut warnings);
        let cleanup = settings.sessions.session_cleanup_interval_minutes.value;
        let retention = settings.sessions.session_retention_minutes.value;
        let verify = settings.data.session_verify_interval_hours.value;
        Ok(Self {
            rules: Rules {
                policy,
                scale,
                kept: scale.minutes(retention.max(cleanup)),
                max_pending_turns: settings.agents.max_pending_turns.value.into(),
                max_sessions_per_user,
            },
            cleanup_interval: scale.minutes(cleanup),
            verify_interval: (verify > 0).then(|| scale.minutes(verify * 60)),
            clear_on_shutdown: settings.sessions.clear_sessions_on_shutdown,
            storage: storage(settings.data),
            server,
            guard,
            log_format,
            log_levels,
            environment: layers.variables(),
            warnings,
        })
    }
}

impl ServerConfig {
    /// Whether the server can be reached from this machine alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.addresses
            .iter()
            .all(|address| address.ip().to_canonical().is_loopback())
    }
}

fn policy(
    sessions: &SessionSettings,
    layers: &Layers,
    warnings: &mut Vec<String>,
) -> TimeoutPolicy {
    let min = sessions.session_min_timeout_minutes.value;
    let max = sessions.session_max_timeout_minutes.value;
    let default = sessions.session_default_timeout_minutes.value;
    let timeout = default.clamp(min, max);
    if timeout != default {
        warnings.push(format!(
            "SESSION_DEFAULT_TIMEOUT_MINUTES {default} ({}) is outside the timeouts of {min} to \
             {max} that sessions can have; using {timeout}",
            layers.origin("SESSION_DEFAULT_TIMEOUT_MINUTES")
        ));
    }
    let duration = sessions.session_max_duration_minutes.value;
    let max_duration = duration.min(max * 2);
    if max_duration != duration {
        warnings.push(format!(
            "SESSION_MAX_DURATION_MINUTES {duration} ({}) is more than twice \
             SESSION_MAX_TIMEOUT_MINUTES; using {max_duration}",
            layers.origin("SESSION_MAX_DURATION_MINUTES")
        ));
    }
    TimeoutPolicy {
        min_timeout_minutes: min,
        max_timeout_minutes: max,
        defaults: TimeoutConfig {
            timeout_minutes: timeout,
            auto_renew: true,
            max_duration_minutes: max_duration,
            warning_threshold_minutes: sessions.session_warning_threshold_minutes.value,
        },
    }
}

fn storage(data: DataSettings) -> StorageConfig {
    StorageConfig {
        data_dir: data.data_dir,
        cache_bytes: size(&data.sessiond_cache_mb).saturating_mul(PAGES_OF_A_MEGABYTE),
    }
}

fn size(number: &Number) -> usize {
    usize::try_from(number.value).unwrap_or(usize::MAX)
}

fn server(server: ServerSettings) -> ServerConfig {
    let mut addresses = server.server_host.addresses;
    for address in &mut addresses {
        address.set_port(server.server_port);
    }
    ServerConfig {
        host: server.server_host.name,
        addresses,
        max_connections: size(&server.max_connections),
        keep_alive: Duration::from_secs(server.keep_alive_seconds.value.into()),
    }
}

fn time_scale(
    scale: &Number,
    server: &ServerConfig,
    layers: &Layers,
) -> Result<TimeScale, ConfigError> {
    const NAME: &str = "SESSION_TIME_SCALE";
    if layers.get(NAME).is_some() && !server.is_loopback() {
        return Err(ConfigError(format!(
            "{} is for tests on a loopback address, and {} is another one",
            layers.placed(NAME),
            layers.shown("SERVER_HOST")
        )));
    }
    Ok(TimeScale::new(scale.value))
}
