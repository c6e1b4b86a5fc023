//! The layers of the settings: flag over environment over `.env` over default.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;

use secrecy::SecretString;

use super::env_file::EnvFile;
use super::error::ConfigError;
use crate::agents::variables::Variables;
use crate::app::SettingSource;

/// The values that are set. Blank values count as unset.
#[derive(Default)]
pub struct Layers {
    /// By name, highest precedence first.
    pub(super) values: BTreeMap<String, Vec<Value>>,
    /// The lines within quoted values of the `.env` file that look like assignments: their names,
    /// their numbers, and the line at which the quoted value begins.
    pub(super) enclosed: Vec<(String, usize, usize)>,
}

pub(super) struct Value {
    text: String,
    is_unicode: bool,
    source: SettingSource,
    /// Where it was set, as shown in messages.
    origin: String,
}

impl Layers {
    /// Reads the process's environment and the `.env` file in the working directory, below these
    /// flags. The keys of `flags` are names of settings.
    ///
    /// # Errors
    /// Returns an error if the `.env` file cannot be read.
    pub fn from_process(flags: HashMap<String, OsString>) -> Result<Self, ConfigError> {
        let environment = std::env::vars_os();
        let environment = environment.filter_map(|(name, it)| Some((name.into_string().ok()?, it)));
        let file = EnvFile::read(Path::new(".env"))?;
        Ok(Self::new(flags, environment, file))
    }

    /// Returns these environment variables only, for a server within another program.
    pub fn from_variables<N: Into<String>, V: Into<OsString>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        Self::new([], variables, EnvFile::default())
    }

    pub(super) fn new(
        flags: impl IntoIterator<Item = (String, OsString)>,
        environment: impl IntoIterator<Item = (String, OsString)>,
        file: EnvFile,
    ) -> Self {
        let mut layers = Self::default();
        for (name, value) in flags {
            let flag = name.to_ascii_lowercase().replace('_', "-");
            let origin = format!("flag --{flag}");
            layers.add(name, value, SettingSource::Flag, origin);
        }
        for (name, value) in environment {
            let origin = "environment".to_owned();
            layers.add(name, value, SettingSource::Environment, origin);
        }
        let mut last = HashMap::new();
        for it in file.assignments {
            let enclosed = it.enclosed.into_iter();
            layers
                .enclosed
                .extend(enclosed.map(|(line, name)| (name, line, it.line)));
            last.insert(it.name, (it.value, it.line));
        }
        for (name, (value, line)) in last {
            let origin = format!("line {line} of .env");
            layers.add(name, value.into(), SettingSource::File, origin);
        }
        layers
    }

    fn add(&mut self, name: String, value: OsString, source: SettingSource, origin: String) {
        let is_unicode = value.to_str().is_some();
        let lossy = |value: OsString| value.to_string_lossy().into_owned();
        self.values.entry(name).or_default().push(Value {
            text: value.into_string().unwrap_or_else(lossy),
            is_unicode,
            source,
            origin,
        });
    }

    /// Returns the names that are set, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.values.keys().map(String::as_str);
        names.filter(|name| self.get(name).is_some())
    }

    fn all(&self, name: &str) -> &[Value] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    fn used(&self, name: &str) -> Option<&Value> {
        self.all(name).iter().find(|value| !value.is_blank())
    }

    /// Returns a value exactly as it was set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.used(name).map(|value| value.text.as_str())
    }

    /// Does the same as [`get`](Self::get), but returns an error if the value is not UTF-8: a lossy
    /// conversion would be another value, such as another directory.
    pub(super) fn unicode(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        match self.used(name) {
            Some(value) if !value.is_unicode => Err(ConfigError(format!(
                "invalid {}: not UTF-8 text; expected UTF-8, also in the names of directories",
                self.placed(name)
            ))),
            value => Ok(value.map(|value| value.text.as_str())),
        }
    }

    /// Returns the layer whose value is used.
    pub(super) fn source(&self, name: &str) -> SettingSource {
        let used = self.used(name);
        used.map_or(SettingSource::Default, |value| value.source)
    }

    /// Returns where a setting was set.
    pub(super) fn origin(&self, name: &str) -> &str {
        self.used(name).map_or("default", |value| &value.origin)
    }

    /// Returns where a setting is blank, except in layers that another value overrides.
    pub(super) fn blanks(&self, name: &str) -> impl Iterator<Item = &str> {
        let blanks = self.all(name).iter().take_while(|value| value.is_blank());
        blanks.map(|value| value.origin.as_str())
    }

    /// Returns all values for the character files that name them, exactly as they were set: a
    /// signing key may begin or end with a blank.
    pub(super) fn variables(&self) -> Variables {
        let values = self
            .names()
            .filter_map(|name| Some((name.to_owned(), self.get(name)?.into())));
        let values: HashMap<String, SecretString> = values.collect();
        Variables::new(move |name| values.get(name).cloned())
    }

    /// Formats a setting and its origin: `SERVER_PORT (environment)`.
    pub(super) fn placed(&self, name: &str) -> String {
        format!("{name} ({})", self.origin(name))
    }

    /// Formats a setting, its value and its origin: `SERVER_PORT "80" (environment)`. Not for
    /// secrets.
    pub(super) fn shown(&self, name: &str) -> String {
        let text = self.get(name).unwrap_or_default().trim();
        format!("{name} {text:?} ({})", self.origin(name))
    }

    /// Returns the error of an invalid value. Not for secrets.
    pub(super) fn invalid(&self, name: &str, reason: &str) -> ConfigError {
        ConfigError(format!("invalid {}: {reason}", self.shown(name)))
    }
}

impl Value {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}
