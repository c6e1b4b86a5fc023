//! Names that are no settings, but could be meant to be.

use super::env_file::EnvFile;
use super::layers::Layers;
use super::{ConfigError, SETTINGS, Setting};

/// How many characters of a setting's name may be wrong.
const MAX_DISTANCE: usize = 2;

/// How many of them in its first word, which tells other programs' variables apart: `AWS_SECRET`
/// is not meant to be `JWT_SECRET`.
const MAX_WORD_DISTANCE: usize = 1;

/// Settings of later versions.
const TO_COME: [&str; 7] = [
    "BACKUP_DIR",
    "BACKUP_EVERY_HOURS",
    "BACKUP_KEEP",
    "JWT_AUDIENCE",
    "JWT_ISSUER",
    "JWT_ISSUER_WHITELIST",
    "JWT_SUBJECT",
];

/// Refuses settings of later versions: whoever sets one relies on what it does, such as on tokens
/// of other issuers being refused.
pub(super) fn refuse_settings_to_come(layers: &Layers) -> Result<(), ConfigError> {
    match TO_COME.iter().find(|name| layers.get(name).is_some()) {
        None => Ok(()),
        Some(name) => Err(ConfigError(format!(
            "{} is set, but this version has no such setting yet; remove it",
            layers.placed(name)
        ))),
    }
}

/// Warns of names that are nearly a setting's. Such a line would do nothing, and nobody would know
/// why.
pub(super) fn misspelt(layers: &Layers) -> Vec<String> {
    let set = layers.names().filter(|name| layers.get(name).is_some());
    let misspelt = set.filter_map(|name| {
        let (meant, name) = (meant_by(name)?, layers.placed(name));
        Some(format!(
            "{name} is set, but no setting has this name; did you mean {meant}?"
        ))
    });
    misspelt.collect()
}

/// Warns of lines that look like settings and are part of another value.
pub(super) fn enclosed(file: &EnvFile) -> Vec<String> {
    let mut warnings = Vec::new();
    for assignment in &file.assignments {
        let enclosed = assignment.enclosed.iter();
        let settings = enclosed.filter(|(_, name)| Setting::find(name).is_some());
        warnings.extend(settings.map(|(line, name)| {
            format!(
                ".env, line {line}: {name} is not set here, since the line is part of the value \
                 that is quoted from line {} on",
                assignment.line
            )
        }));
    }
    warnings
}

/// The setting that a name was meant to be, if it is nearly one. Other names are none of the
/// server's business: agents have variables of their own.
fn meant_by(name: &str) -> Option<&'static str> {
    if Setting::find(name).is_some() {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let offered = SETTINGS.iter().filter(|it| !it.arg().is_hide_set());
    let distances = offered.filter_map(|it| Some((distance(&name, it.name())?, it.name())));
    distances.min().map(|(_, meant)| meant)
}

/// How many characters of a name are wrong, if few enough are.
fn distance(name: &str, setting: &str) -> Option<usize> {
    if name.len().abs_diff(setting.len()) > MAX_DISTANCE {
        return None;
    }
    let words = name.split_once('_').zip(setting.split_once('_'));
    let begins_alike = words
        .is_none_or(|((one, _), (other, _))| strsim::osa_distance(one, other) <= MAX_WORD_DISTANCE);
    let distance = strsim::osa_distance(name, setting);
    (begins_alike && distance <= MAX_DISTANCE).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_a_settings_is_recognized() {
        for (name, meant) in [
            ("SERVER_PRT", "SERVER_PORT"),
            ("SERVER_PROT", "SERVER_PORT"),
            ("SERVER_HOSTS", "SERVER_HOST"),
            ("SEVER_PORT", "SERVER_PORT"),
            ("SEVRER_PROT", "SERVER_PORT"),
            ("server_port", "SERVER_PORT"),
            ("Data_Dir", "DATA_DIR"),
            ("SERVERPORT", "SERVER_PORT"),
            ("SESION_RETENTION_MINUTE", "SESSION_RETENTION_MINUTES"),
            ("SESSION_MAX_TIMEOUT_MINUTE", "SESSION_MAX_TIMEOUT_MINUTES"),
            (
                "RATE_LIMIT_CREATE_PER_MINUTE",
                "RATE_LIMIT_CREATES_PER_MINUTE",
            ),
            ("SESSIOND_CACHE_MIB", "SESSIOND_CACHE_MB"),
            ("CORS_ORIGINS", "CORS_ORIGIN"),
        ] {
            assert_eq!(meant_by(name), Some(meant), "{name}");
        }
    }

    #[test]
    fn a_name_that_is_blank_is_not_set() {
        let warnings = |value| Layers::from_variables([("SERVER_PRT", value)]).warnings;
        assert_eq!(warnings("1").len(), 1);
        assert_eq!(warnings(" ").len(), 0);
    }

    #[test]
    fn other_names_are_left_alone() {
        for setting in SETTINGS.iter() {
            assert_eq!(meant_by(setting.name()), None);
        }
        for name in [
            // Of ElizaOS and its plugins.
            "ANTHROPIC_API_KEY",
            "DATABASE_PATH",
            "DISCORD_API_TOKEN",
            "ELIZA_UI_ENABLE",
            "LOG_JSON_FORMAT",
            "LOG_LEVEL",
            "OLLAMA_API_ENDPOINT",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "PGLITE_DATA_DIR",
            "POSTGRES_URL",
            "SECRET_SALT",
            "SESSION_MANAGER",
            "TWITTER_API_SECRET_KEY",
            // Of other programs.
            "APP_SECRET",
            "AWS_SECRET",
            "BASE_DIR",
            "CACHE_DIR",
            "DATA",
            "DOC_FORMAT",
            "IMG_FORMAT",
            "PATH",
            "PORT",
            "SERVER_NAME",
            "XDG_DATA_DIRS",
            "",
            // Hidden, and so nothing to be told of.
            "SESSION_TIME_SCALES",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
    }

    #[test]
    fn settings_of_later_versions_are_refused_unless_they_are_blank() {
        for name in TO_COME {
            assert!(Setting::find(name).is_none(), "{name} is there now");
            let set_to = |value| Layers::from_variables([(name, value)]);
            assert!(refuse_settings_to_come(&set_to(" ")).is_ok());
            let error = refuse_settings_to_come(&set_to("s3cret")).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "{name} (environment) is set, but this version has no such setting yet; \
                     remove it"
                )
            );
        }
    }
}
