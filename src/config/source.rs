//! Where the values of the settings come from: flag over environment over `.env` over default.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

use super::env_file::EnvFile;
use super::layer::{Layer, Origin};
use super::{ConfigError, Environment, SETTINGS};

/// How many characters of a setting's name may be wrong for it to be known again.
const MAX_DISTANCE: usize = 2;

/// The values that were set, by name. Empty ones count as unset.
#[derive(Default)]
pub struct Source {
    layers: Vec<Layer>,
    warnings: Vec<String>,
    /// The variables whose values are no Unicode text.
    garbled: Vec<String>,
}

/// A value that is not empty.
pub(super) struct Given<'a> {
    /// Exactly as it was set.
    pub(super) text: &'a str,
    pub(super) origin: Origin,
}

impl Source {
    /// The values of these flags, of the process's environment, and of the `.env` file in the
    /// working directory.
    ///
    /// # Errors
    /// The `.env` file cannot be read.
    pub fn of_process(flags: HashMap<String, String>) -> Result<Self, ConfigError> {
        let mut environment = HashMap::new();
        let mut garbled = Vec::new();
        for (name, value) in std::env::vars_os() {
            // A name that is not Unicode is no name of ours.
            let Ok(name) = name.into_string() else {
                continue;
            };
            let value = value.into_string().unwrap_or_else(|value| {
                garbled.push(name.clone());
                value.to_string_lossy().into_owned()
            });
            environment.insert(name, value);
        }
        let file = Layer::from_file(EnvFile::read(Path::new(".env"))?);
        let mut source = Self {
            layers: vec![
                Layer::new(Origin::Flag, flags),
                Layer::new(Origin::Environment, environment),
                file,
            ],
            garbled,
            ..Self::default()
        };
        source.warn_of_names();
        Ok(source)
    }

    /// Refuses settings whose values are no Unicode text: what can be read of them is something
    /// else, such as another folder.
    pub(super) fn refuse_other_encodings(&self) -> Result<(), ConfigError> {
        match self.garbled.iter().find(|name| is_setting(name)) {
            None => Ok(()),
            Some(name) => Err(ConfigError::new(format!(
                "{name} is not UTF-8 text; allowed is that alone, also for the names of folders"
            ))),
        }
    }

    /// Refuses settings of later versions: who sets one relies on what it does, such as on tokens of
    /// other issuers being refused.
    pub(super) fn refuse_settings_to_come(&self) -> Result<(), ConfigError> {
        let set = TO_COME
            .iter()
            .find_map(|name| Some((name, self.given(name)?)));
        match set {
            None => Ok(()),
            Some((name, given)) => Err(ConfigError::new(format!(
                "{name} is set {}, but this version has no such setting yet; take it out",
                given.origin
            ))),
        }
    }

    /// The values of these layers, the first one first: flags, the environment, a file.
    #[must_use]
    pub fn of_layers(layers: Vec<HashMap<String, String>>) -> Self {
        let origins = [Origin::Flag, Origin::Environment];
        let origins = origins
            .into_iter()
            .chain(std::iter::repeat(Origin::File(0)));
        let layers = origins.zip(layers);
        let mut source = Self {
            layers: layers
                .map(|(origin, values)| Layer::new(origin, values))
                .collect(),
            ..Self::default()
        };
        source.warn_of_names();
        source
    }

    /// A setting whose name is spelt wrong, or whose line is part of another value, would do
    /// nothing, and nobody would know why.
    fn warn_of_names(&mut self) {
        let names: BTreeSet<_> = self.layers.iter().flat_map(Layer::names).collect();
        let misspelt = names.into_iter().filter_map(|name| {
            let meant = meant_by(name)?;
            Some(format!(
                "{name} is set, but no setting has this name; did you mean {meant}?"
            ))
        });
        let enclosed = self.layers.iter().flat_map(|layer| &layer.enclosed);
        let enclosed = enclosed.filter(|it| is_setting(&it.name)).map(|it| {
            format!(
                ".env, line {}: {} is not set here, since the line is part of the value that is \
                 quoted from line {} on",
                it.line, it.name, it.quoted_from
            )
        });
        self.warnings = misspelt.chain(enclosed).collect();
    }

    /// What was put right, for the log.
    #[must_use]
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// A value, if it is set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given(name).map(|given| given.text.trim())
    }

    /// A value exactly as it was set, and where.
    pub(super) fn given(&self, name: &str) -> Option<Given<'_>> {
        self.layers.iter().find_map(|layer| {
            let text = layer.get(name).filter(|text| !is_blank(text))?;
            let origin = layer.origin(name);
            Some(Given { text, origin })
        })
    }

    /// The places where a value is set to nothing, but for those that a value overrides.
    pub(super) fn blanks(&self, name: &str) -> Vec<Origin> {
        let layers = self.layers.iter();
        let set = layers.filter_map(|layer| Some((layer, layer.get(name)?)));
        set.take_while(|(_, text)| is_blank(text))
            .map(|(layer, _)| layer.origin(name))
            .collect()
    }

    /// All values exactly as they were set, for those that are named elsewhere: the key of a
    /// signature may begin or end with a blank.
    pub(super) fn environment(&self) -> Environment {
        let names = self.layers.iter().flat_map(Layer::names);
        let values =
            names.filter_map(|name| Some((name.to_owned(), self.given(name)?.text.to_owned())));
        values.collect()
    }

    /// A whole number, put into its bounds with a warning.
    pub(super) fn number(
        &mut self,
        name: &str,
        default: u32,
        bounds: &RangeInclusive<u32>,
    ) -> Result<u32, ConfigError> {
        let Some(text) = self.text(name).map(str::to_owned) else {
            return Ok(default);
        };
        let (min, max) = (*bounds.start(), *bounds.end());
        if !is_whole_number(&text) {
            return Err(ConfigError::unreadable(
                name,
                &text,
                &format!("a whole number of {min} to {max}"),
            ));
        }
        // What is too long for the type is out of any bounds.
        let value = text.parse::<i128>().unwrap_or(if text.starts_with('-') {
            i128::MIN
        } else {
            i128::MAX
        });
        let clamped = u32::try_from(value.clamp(min.into(), max.into())).unwrap_or(max);
        if i128::from(clamped) != value {
            self.warn(format!(
                "{name} is {text}, outside {min} to {max}; {clamped} is used"
            ));
        }
        Ok(clamped)
    }

    /// The most of something; 0 for any number. A number below that does not stand for 0, which
    /// would be no limit at all.
    pub(super) fn limit(&mut self, name: &str) -> Result<u32, ConfigError> {
        let allowed = format!(
            "a whole number of 0 to {}, where 0 stands for any number",
            u32::MAX
        );
        match self.text(name) {
            Some(text) if text.starts_with('-') || !is_whole_number(text) => {
                Err(ConfigError::unreadable(name, text, &allowed))
            }
            _ => self.number(name, 0, &(0..=u32::MAX)),
        }
    }

    /// What a setting is, in the words of a warning, which is not to name what nobody has set.
    pub(super) fn stands(&self, name: &str, value: u32) -> String {
        match self.text(name) {
            Some(_) => format!("{name} is {value}"),
            None => format!("{name} is {value} by default"),
        }
    }

    /// A switch.
    pub(super) fn switch(&self, name: &str) -> Result<bool, ConfigError> {
        let Some(text) = self.text(name) else {
            return Ok(false);
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(ConfigError::unreadable(name, text, "true, false, 1 or 0")),
        }
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }
}

/// Settings that later versions have.
const TO_COME: [&str; 7] = [
    "BACKUP_DIR",
    "BACKUP_EVERY_HOURS",
    "BACKUP_KEEP",
    "JWT_AUDIENCE",
    "JWT_ISSUER",
    "JWT_ISSUER_WHITELIST",
    "JWT_SUBJECT",
];

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.name == name)
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The setting that a name was meant to be, if it is nearly one and begins with the same word.
/// Other names are none of the server's business: agents have variables of their own.
fn meant_by(name: &str) -> Option<&'static str> {
    if is_setting(name) {
        return None;
    }
    let (word, _) = name.split_once('_')?;
    let offered = SETTINGS.iter().filter(|setting| !setting.is_hidden);
    let related = offered.filter(|setting| setting.name.split('_').next() == Some(word));
    let distances = related.map(|it| (strsim::levenshtein(it.name, name), it.name));
    let near = distances.filter(|(distance, _)| *distance <= MAX_DISTANCE);
    near.min().map(|(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_a_settings_is_known_again() {
        for (name, meant) in [
            ("SERVER_PRT", "SERVER_PORT"),
            ("SERVER_PROT", "SERVER_PORT"),
            ("SERVER_HOSTS", "SERVER_HOST"),
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
    fn other_names_are_left_alone() {
        for setting in SETTINGS {
            assert_eq!(meant_by(setting.name), None);
        }
        for name in [
            "OPENAI_API_KEY",
            "OLLAMA_API_ENDPOINT",
            "SERVER_NAME",
            "SEVER_PORT",
            "SERVERPORT",
            "LOG_LEVEL",
            "SESSION_MANAGER",
            "SESSION_TIME_SCALES",
            "DATA",
            "PATH",
            "",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
    }

    #[test]
    fn settings_of_later_versions_are_refused_unless_they_are_blank() {
        for name in TO_COME {
            assert!(!is_setting(name), "{name} is there now");
            let set_to = |value: &str| {
                let layer = HashMap::from([(name.to_owned(), value.to_owned())]);
                Source::of_layers(vec![HashMap::new(), layer])
            };
            assert!(set_to(" ").refuse_settings_to_come().is_ok());
            let error = set_to("s3cret").refuse_settings_to_come().unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&format!("{name} is set")), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_name_is_warned_of_once_and_without_its_value() {
        let layer = || HashMap::from([("JWT_SECRETS".to_owned(), "s3cret".to_owned())]);
        let warnings = Source::of_layers(vec![layer(), layer()]).into_warnings();
        assert_eq!(
            warnings,
            ["JWT_SECRETS is set, but no setting has this name; did you mean JWT_SECRET?"]
        );
    }
}
