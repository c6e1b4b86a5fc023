//! Where the values of the settings come from: flag over environment over `.env` over default.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::Path;

use secrecy::SecretString;

use super::env_file::EnvFile;
use super::{ConfigError, Setting, names};
use crate::agents::variables::Variables;

/// The values that were set. Blank ones count as unset.
#[derive(Default)]
pub struct Layers {
    /// By name; those of higher precedence first.
    values: BTreeMap<String, Vec<Value>>,
    pub(super) warnings: Vec<String>,
}

/// A value.
struct Value {
    text: String,
    /// Where it was set, as messages show it in parentheses.
    origin: String,
}

impl Layers {
    /// The values of these flags, by the names of the settings, of the process's environment, and
    /// of the `.env` file in the working directory.
    ///
    /// # Errors
    /// The `.env` file cannot be read, or the value of a setting is not UTF-8.
    pub fn from_process(flags: HashMap<String, OsString>) -> Result<Self, ConfigError> {
        // A name that is not Unicode is no name of ours.
        let environment = std::env::vars_os();
        let environment = environment.filter_map(|(name, it)| Some((name.into_string().ok()?, it)));
        let environment = unicode(environment, of_variable)?;
        let flags = unicode(flags, of_flag)?;
        Ok(Self::new(
            flags,
            environment,
            EnvFile::read(Path::new(".env"))?,
        ))
    }

    /// The values of an environment, for a server within another program.
    pub fn from_variables<N: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        Self::new(Vec::new(), variables.collect(), EnvFile::default())
    }

    /// The values of these flags, of this environment and of this file.
    pub(super) fn new(
        flags: Vec<(String, String)>,
        environment: Vec<(String, String)>,
        file: EnvFile,
    ) -> Self {
        let mut layers = Self::default();
        for (name, text) in flags {
            let origin = of_flag(&name);
            layers.add(name, text, origin);
        }
        for (name, text) in environment {
            let origin = of_variable(&name);
            layers.add(name, text, origin);
        }
        layers.warnings.extend(names::enclosed(&file));
        for it in file.last_assignments() {
            layers.add(it.name, it.value, format!("line {} of .env", it.line));
        }
        let misspelt = names::misspelt(&layers);
        layers.warnings.splice(0..0, misspelt);
        layers
    }

    fn add(&mut self, name: String, text: String, origin: String) {
        let values = self.values.entry(name).or_default();
        values.push(Value { text, origin });
    }

    /// All names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    fn all(&self, name: &str) -> &[Value] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    fn used(&self, name: &str) -> Option<&Value> {
        self.all(name).iter().find(|value| !value.is_blank())
    }

    /// A value exactly as it was set, if it is.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.used(name).map(|value| value.text.as_str())
    }

    /// Where a setting was set.
    pub(super) fn origin(&self, name: &str) -> &str {
        self.used(name).map_or("default", |value| &value.origin)
    }

    /// Where a setting is blank, but for places that another value overrides.
    pub(super) fn blanks(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.all(name).iter();
        let blanks = values.take_while(|value| value.is_blank());
        blanks.map(|value| value.origin.as_str())
    }

    /// All values exactly as they were set, for the agents that name them: the key of a signature
    /// may begin or end with a blank.
    pub(super) fn variables(&self) -> Variables {
        let values = self.names().filter_map(|name| {
            let value = SecretString::from(self.get(name)?);
            Some((name.to_owned(), value))
        });
        let values: HashMap<_, _> = values.collect();
        Variables::new(move |name| values.get(name).cloned())
    }

    /// A setting with its origin: `SERVER_PORT (environment)`.
    pub(super) fn placed(&self, name: &str) -> String {
        format!("{name} ({})", self.origin(name))
    }

    /// A setting with its value and origin: `SERVER_PORT "80" (environment)`. Not for secrets.
    pub(super) fn shown(&self, name: &str) -> String {
        let text = self.get(name).unwrap_or_default().trim();
        format!("{name} {text:?} ({})", self.origin(name))
    }

    /// The error for a value that is not allowed. Not for secrets.
    pub(super) fn invalid(&self, name: &str, reason: &str) -> ConfigError {
        ConfigError(format!("invalid {}: {reason}", self.shown(name)))
    }
}

impl Value {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

fn of_flag(name: &str) -> String {
    format!("flag --{}", Setting::find(name).map_or(name, Setting::flag))
}

fn of_variable(_: &str) -> String {
    "environment".to_owned()
}

/// Refuses settings whose values are not Unicode: what can be read of them is something else, such
/// as another directory.
fn unicode(
    values: impl IntoIterator<Item = (String, OsString)>,
    origin: impl Fn(&str) -> String,
) -> Result<Vec<(String, String)>, ConfigError> {
    let values = values.into_iter().map(|(name, value)| {
        if value.to_str().is_none() && Setting::find(&name).is_some() {
            return Err(ConfigError(format!(
                "invalid {name} ({}): not UTF-8 text; expected UTF-8, also in the names of \
                 directories",
                origin(&name)
            )));
        }
        let text = value.to_string_lossy().into_owned();
        Ok((name, text))
    });
    values.collect()
}
