//! The configuration. Nothing else reads arguments or the environment.

pub mod env_file;
mod environment;
mod error;
mod guard;
mod input_file;
mod layer;
mod levels;
mod secret;
mod settings;
mod source;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

pub use self::environment::Environment;
pub use self::error::ConfigError;
use self::settings::TIME_SCALE;
pub use self::settings::{SETTINGS, Setting};
pub use self::source::Source;
use crate::domain::rules::Rules;
use crate::domain::time::{Millis, TimeScale};
use crate::domain::timeout::{TimeoutConfig, TimeoutPolicy};
use crate::guard::Policy;

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
    pub environment: Environment,
    /// What was put right, for the log.
    pub warnings: Vec<String>,
}

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

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Config {
    /// Reads and validates every setting.
    ///
    /// # Errors
    /// A value is unreadable or not allowed.
    pub fn read(mut source: Source) -> Result<Self, ConfigError> {
        source.refuse_other_encodings()?;
        source.refuse_settings_to_come()?;
        let log_levels = levels::read(&source)?;
        let server = server(&mut source)?;
        let guard = guard::policy(&mut source, &server)?;
        let scale = time_scale(&mut source, &server)?;
        let policy = policy(&mut source)?;
        let cleanup = source.number("SESSION_CLEANUP_INTERVAL_MINUTES", 5, &(1..=60))?;
        let retention = source.number("SESSION_RETENTION_MINUTES", 10_080, &(0..=5_256_000))?;
        let verify = source.number("SESSION_VERIFY_INTERVAL_HOURS", 168, &(0..=8_760))?;
        let pending = source.number("MAX_PENDING_TURNS", 10_000, &(1..=1_000_000))?;
        let rules = Rules {
            policy,
            scale,
            kept: scale.minutes(retention.max(cleanup)),
            max_pending_turns: pending.into(),
            max_sessions_per_user: source.limit("MAX_SESSIONS_PER_USER")?,
        };
        Ok(Self {
            rules,
            cleanup_interval: scale.minutes(cleanup),
            verify_interval: (verify > 0).then(|| scale.minutes(verify * 60)),
            clear_on_shutdown: source.switch("CLEAR_SESSIONS_ON_SHUTDOWN")?,
            storage: storage(&mut source)?,
            server,
            guard,
            log_format: log_format(&source)?,
            log_levels,
            environment: source.environment(),
            warnings: source.into_warnings(),
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

fn policy(source: &mut Source) -> Result<TimeoutPolicy, ConfigError> {
    let min = source.number("SESSION_MIN_TIMEOUT_MINUTES", 5, &(1..=60))?;
    let max = source.number("SESSION_MAX_TIMEOUT_MINUTES", 1440, &(60..=10_080))?;
    let default = source.number("SESSION_DEFAULT_TIMEOUT_MINUTES", 30, &(1..=10_080))?;
    let timeout = default.clamp(min, max);
    if timeout != default {
        let stands = source.stands("SESSION_DEFAULT_TIMEOUT_MINUTES", default);
        source.warn(format!(
            "{stands}, outside the timeouts of {min} to {max} that sessions can have; {timeout} \
             is used"
        ));
    }
    let duration = source.number("SESSION_MAX_DURATION_MINUTES", 720, &(60..=20_160))?;
    let max_duration = duration.min(max * 2);
    if max_duration != duration {
        let stands = source.stands("SESSION_MAX_DURATION_MINUTES", duration);
        source.warn(format!(
            "{stands}, more than twice SESSION_MAX_TIMEOUT_MINUTES; {max_duration} is used"
        ));
    }
    Ok(TimeoutPolicy {
        min_timeout_minutes: min,
        max_timeout_minutes: max,
        defaults: TimeoutConfig {
            timeout_minutes: timeout,
            auto_renew: true,
            max_duration_minutes: max_duration,
            warning_threshold_minutes: source.number(
                "SESSION_WARNING_THRESHOLD_MINUTES",
                5,
                &(1..=60),
            )?,
        },
    })
}

fn storage(source: &mut Source) -> Result<StorageConfig, ConfigError> {
    let megabytes = source.number("SESSIOND_CACHE_MB", 256, &(16..=65_536))?;
    let megabytes = usize::try_from(megabytes).unwrap_or(usize::MAX);
    Ok(StorageConfig {
        data_dir: source.text("DATA_DIR").unwrap_or("data").into(),
        cache_bytes: megabytes.saturating_mul(PAGES_OF_A_MEGABYTE),
    })
}

fn server(source: &mut Source) -> Result<ServerConfig, ConfigError> {
    let host = source.text("SERVER_HOST").unwrap_or("127.0.0.1").to_owned();
    let port = match source.text("SERVER_PORT") {
        None => 3000,
        Some(text) => text
            .parse::<u16>()
            .map_err(|_| ConfigError::unreadable("SERVER_PORT", text, "a port of 0 to 65535"))?,
    };
    let addresses = addresses(&host, port)?;
    let max_connections = source.number("MAX_CONNECTIONS", 10_000, &(1..=1_000_000))?;
    let keep_alive = source.number("KEEP_ALIVE_SECONDS", 75, &(5..=3600))?;
    Ok(ServerConfig {
        host,
        addresses,
        max_connections: usize::try_from(max_connections).unwrap_or(usize::MAX),
        keep_alive: Duration::from_secs(keep_alive.into()),
    })
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConfigError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found: Vec<SocketAddr> = (bare, port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default();
    if found.is_empty() {
        let allowed = "an IP address of this machine, or a host name that stands for one";
        return Err(ConfigError::unreadable("SERVER_HOST", host, allowed));
    }
    Ok(found)
}

fn time_scale(source: &mut Source, server: &ServerConfig) -> Result<TimeScale, ConfigError> {
    if source.text(TIME_SCALE).is_some() && !server.is_loopback() {
        return Err(ConfigError::new(format!(
            "{TIME_SCALE} is for tests on a loopback address, and SERVER_HOST is {:?}",
            server.host
        )));
    }
    Ok(TimeScale::new(source.number(
        TIME_SCALE,
        1,
        &(1..=TimeScale::MAX),
    )?))
}

fn log_format(source: &Source) -> Result<Option<LogFormat>, ConfigError> {
    match source.text("LOG_FORMAT") {
        None => Ok(None),
        Some("text") => Ok(Some(LogFormat::Text)),
        Some("json") => Ok(Some(LogFormat::Json)),
        Some(other) => Err(ConfigError::unreadable("LOG_FORMAT", other, "text or json")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    pub(super) fn read(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let layer = values
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Config::read(Source::of_layers(vec![layer]))
    }

    pub(super) fn error(values: &[(&str, &str)]) -> String {
        read(values).unwrap_err().to_string()
    }

    #[test]
    fn without_settings_the_documented_defaults_apply() {
        let config = read(&[]).unwrap();
        assert_eq!(config.rules.policy.defaults.timeout_minutes, 30);
        assert_eq!(config.rules.policy.defaults.max_duration_minutes, 720);
        assert_eq!(config.rules.kept, Millis(10_080 * 60_000));
        assert_eq!(config.server.addresses, ["127.0.0.1:3000".parse().unwrap()]);
        assert_eq!(config.verify_interval, Some(Millis(168 * 3_600_000)));
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn an_interval_of_no_hours_is_no_verification() {
        let interval = |value| {
            let config = read(&[("SESSION_VERIFY_INTERVAL_HOURS", value)]).unwrap();
            config.verify_interval
        };
        assert_eq!(interval("0"), None);
        assert_eq!(interval("1"), Some(Millis(3_600_000)));
        assert_eq!(interval("9000"), Some(Millis(8_760 * 3_600_000)));
    }

    #[test]
    fn an_idle_connection_stays_open_for_seconds_to_an_hour() {
        let keep_alive = |values: &[_]| {
            let config = read(values).unwrap();
            (config.server.keep_alive.as_secs(), config.warnings)
        };
        assert_eq!(keep_alive(&[]), (75, vec![]));
        for (value, seconds) in [("5", 5), ("3600", 3600)] {
            let found = keep_alive(&[("KEEP_ALIVE_SECONDS", value)]);
            assert_eq!(found, (seconds, vec![]));
        }
        for (value, seconds) in [("0", 5), ("4", 5), ("3601", 3600)] {
            let warning =
                format!("KEEP_ALIVE_SECONDS is {value}, outside 5 to 3600; {seconds} is used");
            let found = keep_alive(&[("KEEP_ALIVE_SECONDS", value)]);
            assert_eq!(found, (seconds, vec![warning]));
        }
        assert_eq!(
            error(&[("KEEP_ALIVE_SECONDS", "1m")]),
            "KEEP_ALIVE_SECONDS is \"1m\"; allowed is a whole number of 5 to 3600"
        );
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_and_empty_is_unset() {
        let layer = |value: &str| HashMap::from([("SERVER_PORT".to_owned(), value.to_owned())]);
        let port = |layers| {
            Config::read(Source::of_layers(layers))
                .unwrap()
                .server
                .addresses[0]
                .port()
        };
        assert_eq!(port(vec![layer("1"), layer("2"), layer("3")]), 1);
        assert_eq!(port(vec![layer(""), layer("2"), layer("3")]), 2);
        assert_eq!(port(vec![layer(""), layer(" "), layer("3")]), 3);
        assert_eq!(port(vec![layer("")]), 3000);
    }

    #[test]
    fn an_unreadable_value_is_named_with_what_is_allowed() {
        assert_eq!(
            error(&[("SESSION_MIN_TIMEOUT_MINUTES", "5m")]),
            "SESSION_MIN_TIMEOUT_MINUTES is \"5m\"; allowed is a whole number of 1 to 60"
        );
        assert_eq!(
            error(&[("SERVER_PORT", "65536")]),
            "SERVER_PORT is \"65536\"; allowed is a port of 0 to 65535"
        );
        assert!(error(&[("CLEAR_SESSIONS_ON_SHUTDOWN", "yes")]).contains("true, false, 1 or 0"));
        assert!(error(&[("LOG_FORMAT", "xml")]).contains("text or json"));
    }

    #[test]
    fn a_number_out_of_bounds_is_clamped_with_a_warning() {
        let config = read(&[
            ("SESSION_MIN_TIMEOUT_MINUTES", "-3"),
            (
                "SESSION_MAX_TIMEOUT_MINUTES",
                "99999999999999999999999999999999999999999999",
            ),
            ("SESSION_DEFAULT_TIMEOUT_MINUTES", "20000"),
            ("SESSION_MAX_DURATION_MINUTES", "20160"),
        ])
        .unwrap();
        assert_eq!(config.rules.policy.min_timeout_minutes, 1);
        assert_eq!(config.rules.policy.max_timeout_minutes, 10_080);
        assert_eq!(config.rules.policy.defaults.timeout_minutes, 10_080);
        assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
        let config = read(&[
            ("SESSION_MAX_TIMEOUT_MINUTES", "60"),
            ("SESSION_DEFAULT_TIMEOUT_MINUTES", "90"),
        ])
        .unwrap();
        assert_eq!(config.rules.policy.defaults.timeout_minutes, 60);
        assert_eq!(config.rules.policy.defaults.max_duration_minutes, 120);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    }

    #[test]
    fn a_warning_does_not_take_a_default_for_what_somebody_has_set() {
        let config = read(&[
            ("SESSION_MAX_TIMEOUT_MINUTES", "60"),
            ("SESSION_MIN_TIMEOUT_MINUTES", "45"),
        ])
        .unwrap();
        assert_eq!(
            config.warnings,
            [
                "SESSION_DEFAULT_TIMEOUT_MINUTES is 30 by default, outside the timeouts \
                 of 45 to 60 that sessions can have; 45 is used",
                "SESSION_MAX_DURATION_MINUTES is 720 by default, more than twice \
                 SESSION_MAX_TIMEOUT_MINUTES; 120 is used",
            ]
        );
    }

    #[test]
    fn a_limit_below_zero_does_not_become_none() {
        for name in [
            "RATE_LIMIT_CREATES_PER_MINUTE",
            "RATE_LIMIT_MESSAGES_PER_MINUTE",
            "MAX_SESSIONS_PER_USER",
        ] {
            assert_eq!(
                error(&[(name, "-1")]),
                format!(
                    "{name} is \"-1\"; allowed is a whole number of 0 to 4294967295, where 0 \
                     stands for any number"
                )
            );
            assert!(error(&[(name, "ten")]).contains("where 0 stands for any number"));
            assert!(read(&[(name, "0")]).unwrap().warnings.is_empty());
        }
    }

    #[test]
    fn levels_of_the_log_that_cannot_be_read_stop_the_start() {
        assert_eq!(
            error(&[("RUST_LOG", "sessiond=debgu")]),
            "RUST_LOG is \"sessiond=debgu\"; allowed is a level (off, error, warn, info, debug or \
             trace), or parts of the program with one, such as sessiond=debug, with commas and no \
             blanks between them"
        );
    }

    #[test]
    fn scaled_time_is_for_loopback_alone() {
        let config = read(&[("SESSION_TIME_SCALE", "600")]).unwrap();
        assert_eq!(config.cleanup_interval, Millis(500));
        let refused = [
            ("SESSION_TIME_SCALE", "600"),
            ("SERVER_HOST", "0.0.0.0"),
            ("ELIZA_SERVER_AUTH_TOKEN", "t"),
        ];
        assert!(error(&refused).contains("loopback"));
    }

    #[test]
    fn a_token_is_not_shown() {
        for name in [
            "ELIZA_SERVER_AUTH_TOKEN",
            "SESSIOND_ADMIN_TOKEN",
            "JWT_SECRET",
        ] {
            let config = read(&[(name, "s3cret")]).unwrap();
            assert!(!format!("{config:?}").contains("s3cret"), "{name}");
            assert!(
                config
                    .warnings
                    .iter()
                    .all(|warning| !warning.contains("s3cret"))
            );
        }
        let config = read(&[("MY_KEY", "s3cret")]).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(config.environment.get("MY_KEY").is_some());
        assert!(config.environment.get("NO_KEY").is_none());
    }
}
