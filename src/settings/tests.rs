//! How settings are read. `tests/hardening` shows the messages about invalid ones.

use super::*;
use crate::domain::time::Millis;

pub(super) fn read(values: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::read(Layers::from_variables(values.iter().copied()))
}

pub(super) fn error(values: &[(&str, &str)]) -> String {
    read(values).unwrap_err().to_string()
}

#[test]
fn without_settings_the_documented_defaults_apply() {
    let config = read(&[]).unwrap();
    assert_eq!(config.rules.policy.defaults.timeout_minutes, 30);
    assert_eq!(config.rules.policy.defaults.max_duration_minutes, 720);
    assert_eq!(config.rules.retention, Millis(10_080 * 60_000));
    assert_eq!(config.server.addresses, ["127.0.0.1:3000".parse().unwrap()]);
    assert_eq!(config.verify_interval, Some(Millis(168 * 3_600_000)));
    assert!(config.warnings.is_empty());
}

#[test]
fn an_interval_of_zero_disables_verification() {
    let interval = |value| {
        let config = read(&[("SESSION_VERIFY_INTERVAL_HOURS", value)]).unwrap();
        config.verify_interval
    };
    assert_eq!(interval("0"), None);
    assert_eq!(interval("1"), Some(Millis(3_600_000)));
    assert_eq!(interval("9000"), Some(Millis(8_760 * 3_600_000)));
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
fn scaled_time_requires_a_loopback_address() {
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

#[test]
fn flags_override_the_environment_which_overrides_the_file_and_blank_is_unset() {
    let port = |flag: &str, variable: &str, file: &str| {
        let set = |text: &str| [("SERVER_PORT".to_owned(), text.into())];
        let file = env_file::EnvFile::parse(file.as_bytes()).unwrap();
        let config = Config::read(Layers::new(set(flag), set(variable), file)).unwrap();
        config.server.addresses[0].port()
    };
    assert_eq!(port("1", "2", "SERVER_PORT=3"), 1);
    assert_eq!(port("", "2", "SERVER_PORT=3"), 2);
    assert_eq!(port("", " \t", "SERVER_PORT=3"), 3);
    assert_eq!(port("", "", "SERVER_PORT=3\nSERVER_PORT=4"), 4);
    assert_eq!(port("", "", "SERVER_PORT=3\nSERVER_PORT="), 3000);
    assert_eq!(port(" ", "", ""), 3000);
}

#[test]
fn settings_that_a_command_does_not_use_are_ignored() {
    let layers = || {
        Layers::from_variables([
            ("DATA_DIR", "elsewhere"),
            ("SERVER_HOST", "0.0.0.0"),
            ("JWT_SECRET_FILE", "/missing/key"),
            ("LOG_FORMAT", "xml"),
            ("RUST_LOG", "loud"),
            ("JWT_ISSUER", "https://issuer.example"),
            ("SESSION_MIN_TIMEOUT_MINUTES", "5m"),
        ])
    };
    assert!(Config::read(layers()).is_err());
    let config = Config::read_only(layers(), &["DATA_DIR"]).unwrap();
    assert_eq!(config.storage.data_dir.to_str(), Some("elsewhere"));
    assert_eq!(config.rules.policy.min_timeout_minutes, 5);
    assert_eq!(config.warnings, [""; 0]);
    let config = Config::read_only(layers(), &["SERVER_HOST"]).unwrap();
    assert_eq!(config.server.host, "0.0.0.0");
    // A character file may name any variable.
    assert!(config.environment.get("LOG_FORMAT").is_some());
    let error = Config::read_only(layers(), &["DATA_DIR", "LOG_FORMAT"]).unwrap_err();
    assert!(error.to_string().contains("invalid LOG_FORMAT"), "{error}");
}
