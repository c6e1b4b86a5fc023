//! The effective settings, for operators.

use std::any::Any;

use clap::ArgMatches;

use super::access::{ISSUER, ISSUER_WHITELIST};
use super::declaration::{SETTINGS, Setting};
use super::layers::Layers;
use super::secret;
use super::values::{Names, Number};
use crate::app::{EffectiveSetting, EffectiveSettings, SECRET_IS_SET, SettingSource};

/// Returns the parsed settings with where they were set. Hidden settings are left out unless they
/// are set.
pub(super) fn settings(layers: &Layers, matches: &ArgMatches) -> EffectiveSettings {
    let is_listed = |setting: &EffectiveSetting, declared: &Setting| {
        !declared.arg().is_hide_set() || setting.source != SettingSource::Default
    };
    let settings = SETTINGS.iter().filter_map(|declared| {
        let setting = effective(declared, layers, matches);
        is_listed(&setting, declared).then_some(setting)
    });
    settings.collect()
}

fn effective(setting: &'static Setting, layers: &Layers, matches: &ArgMatches) -> EffectiveSetting {
    let used = used(setting, layers);
    let value = if setting.is_secret() {
        // Its source is that of the setting that names the file, if there is one.
        layers.get(used.name()).map(|_| SECRET_IS_SET.to_owned())
    } else {
        text(used, matches)
    };
    EffectiveSetting {
        name: setting.name(),
        value,
        source: layers.source(used.name()),
        default: setting.default(),
    }
}

/// Returns the setting that has the value: the setting itself, or another one with which it can be
/// set as well.
fn used(setting: &'static Setting, layers: &Layers) -> &'static Setting {
    let other = match setting.name() {
        ISSUER => ISSUER_WHITELIST.to_owned(),
        name if setting.is_secret() => secret::file_name(name),
        _ => return setting,
    };
    let other = Setting::find(&other).filter(|other| layers.get(other.name()).is_some());
    other.unwrap_or(setting)
}

/// Returns a value as an operator would write it.
fn text(setting: &Setting, matches: &ArgMatches) -> Option<String> {
    let id = setting.arg().get_id().as_str();
    if let Some(number) = parsed::<Number>(id, matches) {
        return Some(number.value.to_string());
    }
    if let Some(switch) = parsed::<bool>(id, matches) {
        return Some(switch.to_string());
    }
    if let Some(names) = parsed::<Names>(id, matches) {
        return Some(names.0.join(","));
    }
    let text = matches.get_raw(id)?.next()?;
    Some(text.to_string_lossy().into_owned())
}

fn parsed<'a, T: Any + Clone + Send + Sync>(id: &str, matches: &'a ArgMatches) -> Option<&'a T> {
    matches.try_get_one(id).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use clap::{Args as _, Command};

    use super::super::declaration::Settings;
    use super::super::env_file::EnvFile;
    use super::super::tests::read;
    use super::super::{Config, SETTINGS};
    use super::*;

    fn find<'a>(config: &'a Config, name: &str) -> &'a EffectiveSetting {
        let mut settings = config.settings.iter();
        settings.find(|setting| setting.name == name).unwrap()
    }

    fn value<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
        find(config, name).value.as_deref()
    }

    #[test]
    fn every_offered_setting_is_listed_with_its_default() {
        let config = read(&[]).unwrap();
        let offered = SETTINGS.iter().filter(|it| !it.arg().is_hide_set());
        let offered: Vec<_> = offered
            .map(|declared| EffectiveSetting {
                name: declared.name(),
                value: declared.default().map(str::to_owned),
                source: SettingSource::Default,
                default: declared.default(),
            })
            .collect();
        let listed: Vec<_> = config.settings.iter().cloned().collect();
        assert_eq!(listed, offered);
    }

    #[test]
    fn hidden_settings_are_listed_if_they_are_set() {
        let scaled = read(&[("SESSION_TIME_SCALE", "60")]).unwrap();
        let expected = EffectiveSetting {
            name: "SESSION_TIME_SCALE",
            value: Some("60".to_owned()),
            source: SettingSource::Environment,
            default: Some("1"),
        };
        assert_eq!(*find(&scaled, "SESSION_TIME_SCALE"), expected);
    }

    #[test]
    fn each_setting_has_the_source_whose_value_is_used() {
        let set = |values: &[(&str, &str)]| -> Vec<(String, std::ffi::OsString)> {
            let values = values.iter();
            values.map(|(n, v)| ((*n).to_owned(), v.into())).collect()
        };
        let flags = set(&[("SERVER_PORT", "1"), ("KEEP_ALIVE_SECONDS", " ")]);
        let environment = set(&[
            ("SERVER_PORT", "2"),
            ("KEEP_ALIVE_SECONDS", "20"),
            ("UNKNOWN_NAME", "x"),
        ]);
        let file = b"SERVER_PORT=3\nKEEP_ALIVE_SECONDS=30\nMAX_CONNECTIONS=40\nLOG_FORMAT=";
        let file = EnvFile::parse(file).unwrap();
        let config = Config::read(Layers::new(flags, environment, file)).unwrap();
        let found = |name| {
            let setting = find(&config, name);
            (setting.value.as_deref(), setting.source)
        };
        assert_eq!(found("SERVER_PORT"), (Some("1"), SettingSource::Flag));
        let keep_alive = found("KEEP_ALIVE_SECONDS");
        assert_eq!(keep_alive, (Some("20"), SettingSource::Environment));
        assert_eq!(found("MAX_CONNECTIONS"), (Some("40"), SettingSource::File));
        assert_eq!(found("LOG_FORMAT"), (None, SettingSource::Default));
        let mut settings = config.settings.iter();
        assert!(settings.all(|setting| setting.name != "UNKNOWN_NAME"));
    }

    #[test]
    fn values_are_those_that_the_server_uses() {
        let config = read(&[
            ("MAX_CONNECTIONS", "0"),
            ("SESSION_MAX_TIMEOUT_MINUTES", "60"),
            ("SESSION_DEFAULT_TIMEOUT_MINUTES", "90"),
            ("SESSION_RETENTION_MINUTES", "0"),
            ("CLEAR_SESSIONS_ON_SHUTDOWN", "1"),
            ("JWT_SECRET", "a key of thirty-two bytes and more"),
            ("JWT_ISSUER_WHITELIST", " https://a.example , b,"),
            ("CORS_ORIGIN", " https://a.example, https://b.example "),
            ("SERVER_HOST", " localhost "),
        ])
        .unwrap();
        for (name, used) in [
            ("MAX_CONNECTIONS", "1"),
            ("SESSION_DEFAULT_TIMEOUT_MINUTES", "60"),
            ("SESSION_MAX_DURATION_MINUTES", "120"),
            ("SESSION_RETENTION_MINUTES", "5"),
            ("CLEAR_SESSIONS_ON_SHUTDOWN", "true"),
            ("JWT_ISSUER", "https://a.example,b"),
            ("JWT_ISSUER_WHITELIST", "https://a.example,b"),
            ("CORS_ORIGIN", "https://a.example, https://b.example"),
            ("SERVER_HOST", "localhost"),
        ] {
            assert_eq!(value(&config, name), Some(used), "{name}");
        }
        let issuer = find(&config, "JWT_ISSUER");
        assert_eq!(issuer.source, SettingSource::Environment);
        let duration = find(&config, "SESSION_MAX_DURATION_MINUTES");
        assert_eq!(duration.source, SettingSource::Default);
    }

    #[test]
    fn nothing_of_a_secret_is_shown_but_that_it_is_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, "s3cret of a file, long enough to be good").unwrap();
        let path = path.to_str().unwrap();
        let secret = "s3cret of a variable, long enough to be good";
        for name in [secret::SERVER_TOKEN, secret::ADMIN_TOKEN, secret::JWT_KEY] {
            let file_name = secret::file_name(name);
            let unset = read(&[]).unwrap();
            assert_eq!(value(&unset, name), None);
            let inline = read(&[(name, secret)]).unwrap();
            assert_eq!(value(&inline, &file_name), None);
            let in_file = read(&[(&file_name, path)]).unwrap();
            assert_eq!(value(&in_file, &file_name), Some(path));
            for config in [inline, in_file] {
                let expected = EffectiveSetting {
                    name: Setting::find(name).unwrap().name(),
                    value: Some("(set)".to_owned()),
                    source: SettingSource::Environment,
                    default: None,
                };
                assert_eq!(*find(&config, name), expected);
                let shown = format!("{:?}", config.settings);
                assert!(!shown.contains("s3cret"), "{name}: {shown}");
            }
        }
    }

    /// A setting that takes any text may be given one with a password in it, and would show it. A
    /// new one needs a decision: a secret has the type of the other secrets.
    #[test]
    fn only_settings_that_hold_no_secrets_take_any_text() {
        let url = "https://user:password@host.example/path?key=password";
        let takes_any = |setting: &&Setting| {
            let command = Settings::augment_args(Command::new("settings").no_binary_name(true));
            let argument = format!("--{}={url}", setting.flag());
            command.try_get_matches_from([argument]).is_ok()
        };
        // Its parser looks the name up, and refuses this one.
        let looks_up = |setting: &&Setting| setting.name() == "SERVER_HOST";
        let open = SETTINGS
            .iter()
            .filter(|it| !it.is_secret() && !looks_up(it));
        let open: BTreeSet<_> = open.filter(takes_any).map(Setting::name).collect();
        let paths = SETTINGS.iter().filter(|setting| {
            let id = setting.arg().get_value_parser().type_id();
            setting.name().ends_with("_FILE") || id == std::any::TypeId::of::<PathBuf>()
        });
        let mut known: BTreeSet<_> = paths.map(Setting::name).collect();
        // Claims of tokens, which every user can read in their own.
        known.extend(["JWT_ISSUER", "JWT_ISSUER_WHITELIST", "JWT_AUDIENCE"]);
        assert_eq!(open, known);
    }
}
