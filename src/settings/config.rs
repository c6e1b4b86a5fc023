//! The validated configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::access;
use super::declaration::{DataSettings, ServerSettings, SessionSettings, Settings};
use super::effective;
use super::error::ConfigError;
use super::layers::Layers;
use super::log_filter::{self, RUST_LOG};
use super::names;
use crate::agents::variables::Variables;
use crate::app::EffectiveSettings;
use crate::auth::Policy;
use crate::domain::rules::Rules;
use crate::domain::time::{Millis, TimeScale};
use crate::domain::timeout::{TimeoutConfig, TimeoutPolicy};
use crate::scheduled_backups::BackupSchedule;
use crate::telemetry::LogFormat;

/// How many bytes of pages fit into a megabyte of memory: redb counts pages of 4 KiB, but each is
/// allocated with a header, and a little more than 4 KiB takes 5 KiB.
const PAGE_BYTES_PER_MIB: usize = (1 << 20) / 5 * 4;

const DEFAULT_TIMEOUT: &str = "SESSION_DEFAULT_TIMEOUT_MINUTES";
const MAX_DURATION: &str = "SESSION_MAX_DURATION_MINUTES";

/// The validated configuration.
///
/// ```
/// use sessiond::settings::{Config, Layers};
///
/// let config = Config::read(Layers::from_variables([("MAX_CONNECTIONS", "0")]))?;
/// assert_eq!(config.server.max_connections, 1);
/// let warning = r#"MAX_CONNECTIONS "0" (environment) is outside 1 to 1000000; using 1"#;
/// assert_eq!(config.warnings, [warning]);
///
/// let error = Config::read(Layers::from_variables([("LOG_FORMAT", "xml")])).unwrap_err();
/// let message = r#"invalid LOG_FORMAT "xml" (environment): expected "text" or "json""#;
/// assert_eq!(error.to_string(), message);
/// # Ok::<_, sessiond::settings::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// The rules of sessions.
    pub rules: Rules,
    /// Interval between cleanups of sessions whose retention is over.
    pub cleanup_interval: Millis,
    /// Interval between verifications of the database file; `None` for none, also at the start.
    pub verify_interval: Option<Millis>,
    /// The backups that the server makes by itself; `None` for none.
    pub backups: Option<BackupSchedule>,
    /// Whether to delete all sessions and messages on shutdown.
    pub clear_on_shutdown: bool,
    /// The data directory and the database.
    pub storage: StorageConfig,
    /// The addresses and the connections of the server.
    pub server: ServerConfig,
    /// Authentication and access.
    pub auth: Policy,
    /// Format of the log; `None` for the default of its output.
    pub log_format: Option<LogFormat>,
    /// Filter of the log, as in `RUST_LOG`.
    pub log_filter: Option<String>,
    /// The variables that character files may name.
    pub environment: Variables,
    /// All settings as they are used, for operators.
    pub settings: EffectiveSettings,
    /// Warnings about adjusted or suspicious settings, for the log.
    pub warnings: Vec<String>,
}

/// The data directory and the database.
#[derive(Debug, Clone)]
pub struct StorageConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Size of the database's cache, in bytes of pages.
    pub cache_bytes: usize,
}

/// The addresses and the connections of the server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The host as it was set.
    pub host: String,
    /// The addresses of the host, with the port.
    pub addresses: Vec<SocketAddr>,
    /// Maximum number of connections.
    pub max_connections: usize,
    /// How long an idle connection stays open between requests.
    pub keep_alive: Duration,
}

impl Config {
    /// Reads and validates all settings.
    ///
    /// # Errors
    /// Returns an error if a value is invalid.
    #[expect(clippy::needless_pass_by_value, reason = "layers are read once")]
    pub fn read(layers: Layers) -> Result<Self, ConfigError> {
        Self::parse(&layers, true)
    }

    fn parse(layers: &Layers, listens: bool) -> Result<Self, ConfigError> {
        let log_filter = log_filter::read(layers)?;
        let mut warnings = names::warnings(layers);
        let (parsed, matches) = Settings::read(layers, &mut warnings)?;
        let Settings {
            sessions,
            server,
            data,
            agents,
            access,
        } = parsed;
        let log_format = server.log_format;
        let server = server_config(server);
        // Only a server that listens on a public address needs authentication.
        let is_local = !listens || server.is_loopback();
        let local_host = is_local.then_some(server.host.as_str());
        let max_sessions_per_user = access.max_sessions_per_user.value;
        let auth = access::policy(access, local_host, layers, &mut warnings)?;
        if local_host.is_none() && layers.get("SESSION_TIME_SCALE").is_some() {
            return Err(ConfigError(format!(
                "{} is for tests on a loopback address, and {} is not one",
                layers.placed("SESSION_TIME_SCALE"),
                layers.shown("SERVER_HOST")
            )));
        }
        let scale = TimeScale::new(sessions.session_time_scale.value);
        let cleanup = sessions.session_cleanup_interval_minutes.value;
        let retention = sessions.session_retention_minutes.value.max(cleanup);
        let verify = data.session_verify_interval_hours.value;
        let backups = backups(&data, scale);
        if backups.is_none() && data.backup_dir.is_some() {
            let directory = layers.shown("BACKUP_DIR");
            warnings.push(format!(
                "{directory} has no effect without BACKUP_EVERY_HOURS"
            ));
        }
        let policy = timeout_policy(&sessions, layers, &mut warnings);
        let mut settings = effective::settings(layers, &matches);
        for (name, minutes) in [
            (DEFAULT_TIMEOUT, policy.defaults.timeout_minutes),
            (MAX_DURATION, policy.defaults.max_duration_minutes),
            ("SESSION_RETENTION_MINUTES", retention),
        ] {
            settings.set_value(name, minutes.to_string());
        }
        Ok(Self {
            rules: Rules {
                policy,
                scale,
                retention: scale.minutes(retention),
                max_pending_turns: agents.max_pending_turns.value.into(),
                max_sessions_per_user,
            },
            cleanup_interval: scale.minutes(cleanup),
            verify_interval: (verify > 0).then(|| scale.minutes(verify * 60)),
            backups,
            clear_on_shutdown: sessions.clear_sessions_on_shutdown,
            storage: StorageConfig {
                data_dir: data.data_dir,
                cache_bytes: PAGE_BYTES_PER_MIB
                    .saturating_mul(data.sessiond_cache_mb.value as usize),
            },
            server,
            auth,
            log_format,
            log_filter,
            environment: layers.variables(),
            settings,
            warnings,
        })
    }

    /// Reads only these settings. The others have their defaults, even if they are set to invalid
    /// values, so that a command does not fail because of settings that it does not use.
    ///
    /// # Errors
    /// Returns an error if a value of these settings is invalid.
    pub fn read_only(mut layers: Layers, used: &[&str]) -> Result<Self, ConfigError> {
        let environment = layers.variables();
        let is_own = |name: &str| names::is_own(name) || name == RUST_LOG;
        let values = &mut layers.values;
        values.retain(|name, _| used.contains(&name.as_str()) || !is_own(name));
        let config = Self::parse(&layers, false)?;
        Ok(Self {
            environment,
            ..config
        })
    }
}

impl StorageConfig {
    /// Returns the path of the database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("sessiond.redb")
    }

    /// Returns the directory of the character files.
    #[must_use]
    pub fn agents_dir(&self) -> PathBuf {
        self.data_dir.join("agents")
    }
}

impl ServerConfig {
    /// Whether only this machine can reach the server.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.all(|address| address.ip().to_canonical().is_loopback())
    }
}

fn timeout_policy(
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
            "{DEFAULT_TIMEOUT} {default} ({}) is outside the allowed timeouts of {min} to {max}; \
             using {timeout}",
            layers.origin(DEFAULT_TIMEOUT)
        ));
    }
    let duration = sessions.session_max_duration_minutes.value;
    let max_duration = duration.min(max * 2);
    if max_duration != duration {
        warnings.push(format!(
            "{MAX_DURATION} {duration} ({}) is more than twice SESSION_MAX_TIMEOUT_MINUTES; using \
             {max_duration}",
            layers.origin(MAX_DURATION)
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

fn backups(data: &DataSettings, scale: TimeScale) -> Option<BackupSchedule> {
    let hours = data.backup_every_hours.value;
    let directory = data.backup_dir.as_ref();
    (hours > 0).then(|| BackupSchedule {
        interval: scale.minutes(hours * 60),
        directory: directory.map_or_else(|| data.data_dir.join("backups"), Clone::clone),
        creates_directory: directory.is_none(),
        keep: data.backup_keep.value as usize,
    })
}

fn server_config(server: ServerSettings) -> ServerConfig {
    let mut addresses = server.server_host.addresses;
    for address in &mut addresses {
        address.set_port(server.server_port);
    }
    ServerConfig {
        host: server.server_host.name,
        addresses,
        max_connections: server.max_connections.value as usize,
        keep_alive: Duration::from_secs(server.keep_alive_seconds.value.into()),
    }
}
