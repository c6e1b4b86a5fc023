//! Every setting by name: what the documentation, the command line and the environment share.

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The environment variable. The flag is the same in lower case with hyphens.
    pub name: &'static str,
    /// What applies where it is not set, as the documentation shows it.
    pub default: &'static str,
    /// What it does and what is allowed.
    pub help: &'static str,
    /// Whether it is a switch, whose flag needs no value.
    pub is_switch: bool,
    /// Whether `--help` leaves it out.
    pub is_hidden: bool,
}

impl Setting {
    /// The command-line flag without its hyphens.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    const fn new(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self {
            name,
            default,
            help,
            is_switch: false,
            is_hidden: false,
        }
    }

    const fn switch(self) -> Self {
        Self {
            is_switch: true,
            ..self
        }
    }

    const fn hidden(self) -> Self {
        Self {
            is_hidden: true,
            ..self
        }
    }
}

/// The settings that this build has.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "SESSION_DEFAULT_TIMEOUT_MINUTES",
        "30",
        "How long a session lives after its creation or last renewal, 1-10080",
    ),
    Setting::new(
        "SESSION_MIN_TIMEOUT_MINUTES",
        "5",
        "The shortest timeout that a session can have, 1-60",
    ),
    Setting::new(
        "SESSION_MAX_TIMEOUT_MINUTES",
        "1440",
        "The longest timeout that a session can have, 60-10080",
    ),
    Setting::new(
        "SESSION_MAX_DURATION_MINUTES",
        "720",
        "How long a session lives at most, renewed or not, 60-20160",
    ),
    Setting::new(
        "SESSION_WARNING_THRESHOLD_MINUTES",
        "5",
        "How long before its expiry a session counts as near it, 1-60",
    ),
    Setting::new(
        "SESSION_CLEANUP_INTERVAL_MINUTES",
        "5",
        "How often sessions past their retention are removed, 1-60",
    ),
    Setting::new(
        "CLEAR_SESSIONS_ON_SHUTDOWN",
        "false",
        "Whether a stop removes all sessions and messages, true/false/1/0",
    )
    .switch(),
    Setting::new(
        "SESSION_RETENTION_MINUTES",
        "10080",
        "How long an expired session is kept, 0-5256000",
    ),
    Setting::new(
        "SESSION_VERIFY_INTERVAL_HOURS",
        "168",
        "How often the database file is verified while it is served, 0-8760; 0 for never, not at \
         the start either",
    ),
    Setting::new(
        "SERVER_HOST",
        "127.0.0.1",
        "The address or host name to listen on",
    ),
    Setting::new(
        "SERVER_PORT",
        "3000",
        "The port to listen on; 0 picks a free one",
    ),
    Setting::new(
        "DATA_DIR",
        "data",
        "The folder of the database and of agents/",
    ),
    Setting::new(
        "SESSIOND_CACHE_MB",
        "256",
        "The database's cache in MiB, 16-65536",
    ),
    Setting::new(
        "MAX_CONNECTIONS",
        "10000",
        "The most connections at once, 1-1000000",
    ),
    Setting::new(
        "KEEP_ALIVE_SECONDS",
        "75",
        "How long an idle connection stays open between requests, 5-3600",
    ),
    Setting::new(
        "MAX_PENDING_TURNS",
        "10000",
        "The most messages that wait for a reply, 1-1000000",
    ),
    Setting::new(
        "ELIZA_SERVER_AUTH_TOKEN",
        "unset",
        "The token that every call must bring as X-API-KEY or Bearer",
    ),
    Setting::new(
        "ELIZA_SERVER_AUTH_TOKEN_FILE",
        "unset",
        "A file that holds ELIZA_SERVER_AUTH_TOKEN, in its place",
    ),
    Setting::new(
        "SESSIOND_ADMIN_TOKEN",
        "unset",
        "The token of admins, who may do everything",
    ),
    Setting::new(
        "SESSIOND_ADMIN_TOKEN_FILE",
        "unset",
        "A file that holds SESSIOND_ADMIN_TOKEN, in its place",
    ),
    Setting::new(
        "JWT_SECRET",
        "unset",
        "The key of users' JSON Web Tokens (HS256), 32 bytes or more; a shorter one is warned of",
    ),
    Setting::new(
        "JWT_SECRET_FILE",
        "unset",
        "A file that holds JWT_SECRET, in its place",
    ),
    Setting::new(
        "SESSIOND_INSECURE",
        "false",
        "Whether to listen on an address that is not loopback without any token, true/false/1/0",
    )
    .switch(),
    Setting::new(
        "CORS_ORIGIN",
        "own origin, and on loopback those of this machine",
        "Whose web pages may call: a comma-separated list of origins, or *",
    ),
    Setting::new(
        "RATE_LIMIT_CREATES_PER_MINUTE",
        "0",
        "The most sessions that an address may create in a minute; 0 for any number",
    ),
    Setting::new(
        "RATE_LIMIT_MESSAGES_PER_MINUTE",
        "0",
        "The most messages that an address may send to a session in a minute; 0 for any number",
    ),
    Setting::new(
        "TRUSTED_PROXIES",
        "none",
        "The proxies whose X-Forwarded-For is believed: comma-separated networks or addresses",
    ),
    Setting::new(
        "MAX_SESSIONS_PER_USER",
        "0",
        "The most active sessions of a user; 0 for any number",
    ),
    Setting::new(
        "LOG_FORMAT",
        "text on a terminal, else json",
        "text or json",
    ),
    Setting::new(
        TIME_SCALE,
        "1",
        "How many minutes of the session rules pass in a real one, 1-60000; for tests",
    )
    .hidden(),
];

pub(super) const TIME_SCALE: &str = "SESSION_TIME_SCALE";
