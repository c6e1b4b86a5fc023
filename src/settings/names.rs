//! Names that look like settings.

use super::declaration::{SETTINGS, Setting};
use super::layers::Layers;

/// The largest edit distance between a misspelt name and a setting.
const MAX_DISTANCE: usize = 2;

/// The largest edit distance between their first words, which distinguish the variables of other
/// programs: `AWS_SECRET` is not a misspelt `JWT_SECRET`.
const MAX_WORD_DISTANCE: usize = 1;

/// Whether a name belongs to this program, and not to agents or other programs.
pub(super) fn is_own(name: &str) -> bool {
    Setting::find(name).is_some()
}

/// Returns warnings about settings without effect: misspelt names, and lines within quoted values.
pub(super) fn warnings(layers: &Layers) -> Vec<String> {
    let misspelt = layers.names().filter_map(|name| {
        let (meant, name) = (meant_by(name)?, layers.placed(name));
        Some(format!(
            "{name} is set, but no setting has this name; did you mean {meant}?"
        ))
    });
    let enclosed = layers.enclosed.iter();
    let enclosed = enclosed.filter(|(name, ..)| Setting::find(name).is_some());
    let enclosed = enclosed.map(|(name, line, start)| {
        format!(
            ".env, line {line}: {name} is not set here, since the line is part of the value whose \
             quotes open in line {start}"
        )
    });
    misspelt.chain(enclosed).collect()
}

/// Returns the setting that a misspelt name was meant to be. Other names are ignored: agents have
/// variables of their own.
fn meant_by(name: &str) -> Option<&'static str> {
    if Setting::find(name).is_some() {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let offered = SETTINGS.iter().filter(|it| !it.arg().is_hide_set());
    let distances = offered.filter_map(|it| Some((distance(&name, it.name())?, it.name())));
    distances.min().map(|(_, meant)| meant)
}

/// Returns the edit distance between a name and a setting, if it is small enough for a misspelling.
fn distance(name: &str, setting: &str) -> Option<usize> {
    if name.len().abs_diff(setting.len()) > MAX_DISTANCE {
        return None;
    }
    let words = name.split_once('_').zip(setting.split_once('_'));
    let is_alike = words
        .is_none_or(|((one, _), (other, _))| strsim::osa_distance(one, other) <= MAX_WORD_DISTANCE);
    let distance = strsim::osa_distance(name, setting);
    (is_alike && distance <= MAX_DISTANCE).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_recognized() {
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
    fn a_blank_name_is_not_warned_about() {
        let warnings = |value| warnings(&Layers::from_variables([("SERVER_PRT", value)]));
        assert_eq!(warnings("1").len(), 1);
        assert_eq!(warnings(" ").len(), 0);
    }

    #[test]
    fn other_names_are_ignored() {
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
            // Hidden, so it is not suggested.
            "SESSION_TIME_SCALES",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
    }
}
