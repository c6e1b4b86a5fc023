//! Declares every setting once: its flag, variable, default, help and bounds.
//!
//! The variable is the name of the field in upper case, the flag the same in lower case with
//! hyphens.

#![allow(
    clippy::doc_markdown,
    reason = "the documentation of a field is its text in `--help`"
)]

use std::any::TypeId;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches as _};
use secrecy::SecretString;

use super::error::ConfigError;
use super::layers::Layers;
use super::values::{
    Host, Names, Number, host, log_format, names, number, origins, port, proxies, secret, subject,
    switch,
};
use crate::auth::address::TrustedProxies;
use crate::auth::claims::SubjectRule;
use crate::auth::origin::AllowedOrigins;
use crate::domain::time::TimeScale;
use crate::telemetry::LogFormat;

const NO_LIMIT: &str = " (0 for no limit)";

/// The values of all settings.
#[derive(Args)]
pub(super) struct Settings {
    #[command(flatten)]
    pub(super) sessions: SessionSettings,
    #[command(flatten)]
    pub(super) server: ServerSettings,
    #[command(flatten)]
    pub(super) data: DataSettings,
    #[command(flatten)]
    pub(super) agents: AgentSettings,
    #[command(flatten)]
    pub(super) access: AccessSettings,
}

#[derive(Args)]
#[command(next_help_heading = "Sessions")]
pub(super) struct SessionSettings {
    /// Minutes until a session expires after its creation or last renewal, 1-10080
    #[arg(long, env, default_value = "30", value_parser = number(1..=10_080, ""))]
    pub(super) session_default_timeout_minutes: Number,
    /// Shortest timeout of a session in minutes, 1-60
    #[arg(long, env, default_value = "5", value_parser = number(1..=60, ""))]
    pub(super) session_min_timeout_minutes: Number,
    /// Longest timeout of a session in minutes, 60-10080
    #[arg(long, env, default_value = "1440", value_parser = number(60..=10_080, ""))]
    pub(super) session_max_timeout_minutes: Number,
    /// Longest lifetime of a session in minutes, with or without renewals, 60-20160
    #[arg(long, env, default_value = "720", value_parser = number(60..=20_160, ""))]
    pub(super) session_max_duration_minutes: Number,
    /// Minutes before its expiry at which a session counts as near expiration, 1-60
    #[arg(long, env, default_value = "5", value_parser = number(1..=60, ""))]
    pub(super) session_warning_threshold_minutes: Number,
    /// Minutes between cleanups of sessions whose retention is over, 1-60
    #[arg(long, env, default_value = "5", value_parser = number(1..=60, ""))]
    pub(super) session_cleanup_interval_minutes: Number,
    /// Delete all sessions and messages on shutdown
    #[arg(long, env, default_value = "false", value_parser = switch)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) clear_sessions_on_shutdown: bool,
    /// Minutes for which an expired session is retained, 0-5256000; 0 until the next cleanup
    #[arg(long, env, default_value = "10080")]
    #[arg(value_parser = number(0..=5_256_000, " (0 until the next cleanup)"))]
    pub(super) session_retention_minutes: Number,
    /// Minutes of session time per minute of real time, 1-60000; for tests
    #[arg(long, env, default_value = "1", hide = true)]
    #[arg(value_parser = number(1..=TimeScale::MAX, ""))]
    pub(super) session_time_scale: Number,
}

#[derive(Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerSettings {
    /// Address or host name to listen on
    #[arg(long, env, default_value = "127.0.0.1", value_parser = host)]
    #[arg(visible_alias = "host")]
    pub(super) server_host: Host,
    /// Port to listen on, 0-65535; 0 picks a free one
    #[arg(long, env, default_value = "3000", value_parser = port, visible_alias = "port")]
    pub(super) server_port: u16,
    /// Maximum number of connections, 1-1000000
    #[arg(long, env, default_value = "10000", value_parser = number(1..=1_000_000, ""))]
    pub(super) max_connections: Number,
    /// Seconds for which an idle connection stays open between requests, 5-3600
    #[arg(long, env, default_value = "75", value_parser = number(5..=3_600, ""))]
    pub(super) keep_alive_seconds: Number,
    /// Format of the log, text or json; by default text on a terminal, else json
    #[arg(long, env, value_parser = log_format)]
    pub(super) log_format: Option<LogFormat>,
}

#[derive(Args)]
#[command(next_help_heading = "Data")]
pub(super) struct DataSettings {
    /// Directory of the database and of agents/
    #[arg(long, env, default_value = "data")]
    pub(super) data_dir: PathBuf,
    /// Cache of the database in MiB, 16-65536
    #[arg(long, env, default_value = "256", value_parser = number(16..=65_536, ""))]
    pub(super) sessiond_cache_mb: Number,
    /// Hours between verifications of the database file, 0-8760; 0 disables them, also at the start
    #[arg(long, env, default_value = "168", value_parser = number(0..=8_760, " (0 for never)"))]
    pub(super) session_verify_interval_hours: Number,
    /// Hours between backups that the server makes by itself, 0-8760; 0 disables them
    #[arg(long, env, default_value = "0", value_parser = number(0..=8_760, " (0 for never)"))]
    pub(super) backup_every_hours: Number,
    /// Existing directory of these backups; by default backups/ in the data directory, which is
    /// created
    #[arg(long, env)]
    pub(super) backup_dir: Option<PathBuf>,
    /// Number of these backups that are retained, 1-1000
    #[arg(long, env, default_value = "7", value_parser = number(1..=1_000, ""))]
    pub(super) backup_keep: Number,
}

#[derive(Args)]
#[command(next_help_heading = "Agents")]
pub(super) struct AgentSettings {
    /// Maximum number of messages waiting for a reply, 1-1000000
    #[arg(long, env, default_value = "10000", value_parser = number(1..=1_000_000, ""))]
    pub(super) max_pending_turns: Number,
}

#[derive(Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessSettings {
    /// Token of the server's clients, sent as X-API-KEY or Bearer
    #[arg(long, env, value_parser = secret)]
    pub(super) eliza_server_auth_token: Option<SecretString>,
    /// File that contains ELIZA_SERVER_AUTH_TOKEN
    #[arg(long, env)]
    pub(super) eliza_server_auth_token_file: Option<String>,
    /// Token of administrators, for all endpoints
    #[arg(long, env, value_parser = secret)]
    pub(super) sessiond_admin_token: Option<SecretString>,
    /// File that contains SESSIOND_ADMIN_TOKEN
    #[arg(long, env)]
    pub(super) sessiond_admin_token_file: Option<String>,
    /// Key of users' JSON Web Tokens (HS256, HS384 or HS512), at least 32 bytes
    #[arg(long, env, value_parser = secret)]
    pub(super) jwt_secret: Option<SecretString>,
    /// File that contains JWT_SECRET
    #[arg(long, env)]
    pub(super) jwt_secret_file: Option<String>,
    /// Accepted issuers (iss) of JSON Web Tokens, comma-separated; by default any.
    /// JWT_ISSUER_WHITELIST is another name of this setting
    #[arg(long, env, value_parser = names)]
    pub(super) jwt_issuer: Option<Names>,
    /// Another name of JWT_ISSUER
    #[arg(long, env, value_parser = names, hide = true)]
    pub(super) jwt_issuer_whitelist: Option<Names>,
    /// Accepted audiences (aud) of JSON Web Tokens, comma-separated; by default any
    #[arg(long, env, value_parser = names)]
    pub(super) jwt_audience: Option<Names>,
    /// How the sub of a JSON Web Token becomes a user's id: auto (a UUID as it is, other text is
    /// converted as ElizaOS does), uuid (only UUIDs) or derive (UUIDs are converted too)
    #[arg(long, env, default_value = "auto", value_parser = subject)]
    pub(super) jwt_subject: SubjectRule,
    /// Allow an address that other machines can reach without any of these secrets
    #[arg(long, env, default_value = "false", value_parser = switch)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) sessiond_insecure: bool,
    /// Origins whose web pages may call the API, comma-separated, or *; by default the server's
    /// own, and on a loopback address those of this machine
    #[arg(long, env, value_parser = origins)]
    pub(super) cors_origin: Option<AllowedOrigins>,
    /// Maximum number of sessions that an address may create per minute; 0 for no limit
    #[arg(long, env, default_value = "0", value_parser = number(0..=u32::MAX, NO_LIMIT))]
    pub(super) rate_limit_creates_per_minute: Number,
    /// Maximum number of messages that an address may send to a session per minute; 0 for no limit
    #[arg(long, env, default_value = "0", value_parser = number(0..=u32::MAX, NO_LIMIT))]
    pub(super) rate_limit_messages_per_minute: Number,
    /// Trusted proxies, whose X-Forwarded-For is used: comma-separated networks or addresses
    #[arg(long, env, value_parser = proxies)]
    pub(super) trusted_proxies: Option<TrustedProxies>,
    /// Maximum number of active sessions of a user; 0 for no limit
    #[arg(long, env, default_value = "0", value_parser = number(0..=u32::MAX, NO_LIMIT))]
    pub(super) max_sessions_per_user: Number,
}

/// A setting as the command line, the environment and the documentation know it. It has no `Debug`:
/// clap's argument contains the value of the variable.
pub struct Setting(Arg);

/// All settings, in the order of the help.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let command = Settings::augment_args(Command::new("settings"));
    command.get_arguments().cloned().map(Setting).collect()
});

impl Setting {
    /// Returns the setting with a name.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name() == name)
    }

    /// Returns the environment variable.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.get_env().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// Returns the command-line flag without its hyphens.
    #[must_use]
    pub fn flag(&self) -> &str {
        self.0.get_long().unwrap_or_default()
    }

    /// Returns the argument as clap declares it. Its id is the name of the field.
    #[must_use]
    pub fn arg(&self) -> &Arg {
        &self.0
    }

    /// Whether it is a switch, whose flag needs no value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.0.get_value_parser().type_id() == TypeId::of::<bool>()
    }

    /// Returns the default value, if there is one.
    pub(super) fn default(&self) -> Option<&str> {
        self.0.get_default_values().first()?.to_str()
    }

    /// Whether its value must never be shown, and is not trimmed.
    pub(super) fn is_secret(&self) -> bool {
        self.0.get_value_parser().type_id() == TypeId::of::<SecretString>()
    }

    fn argument(&self, layers: &Layers) -> Result<Option<String>, ConfigError> {
        let text = layers.unicode(self.name())?;
        let text = text.map(|text| if self.is_secret() { text } else { text.trim() });
        Ok(text.map(|text| format!("--{}={text}", self.flag())))
    }
}

impl Settings {
    /// Parses the values that are set, and warns about each number that is clamped. Returns them,
    /// and as clap parsed them.
    pub(super) fn read(
        layers: &Layers,
        warnings: &mut Vec<String>,
    ) -> Result<(Self, ArgMatches), ConfigError> {
        let command = Self::augment_args(Command::new("settings").no_binary_name(true))
            // The environment is one of the layers.
            .mut_args(|arg| arg.env(Resettable::Reset));
        let arguments = SETTINGS
            .iter()
            .filter_map(|it| it.argument(layers).transpose());
        let arguments: Vec<_> = arguments.collect::<Result<_, _>>()?;
        let invalid = |error| invalid(&error, layers);
        let matches = command.try_get_matches_from(arguments).map_err(invalid)?;
        for setting in SETTINGS.iter() {
            let number = matches.try_get_one::<Number>(setting.0.get_id().as_str());
            let warning = number.ok().flatten().and_then(|it| it.warning.as_ref());
            warnings.extend(warning.map(|it| format!("{} {it}", layers.shown(setting.name()))));
        }
        let settings = Self::from_arg_matches(&matches).map_err(invalid)?;
        Ok((settings, matches))
    }
}

/// Converts clap's error about a value, and adds where the value was set.
fn invalid(error: &clap::Error, layers: &Layers) -> ConfigError {
    // It names the argument as in `--server-port <SERVER_PORT>`.
    let flag = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split([' ', '[']).next(),
        _ => None,
    };
    let flag = flag.and_then(|flag| flag.strip_prefix("--"));
    let setting = SETTINGS.iter().find(|it| Some(it.flag()) == flag);
    match (setting, std::error::Error::source(error)) {
        (Some(setting), Some(reason)) => layers.invalid(setting.name(), &reason.to_string()),
        _ => ConfigError(error.to_string()),
    }
}
