//! `settings.backend` of a character file. An error names the line, the field, what it may have and
//! what it has.

pub(super) mod address;
mod error;
mod field;
mod unknown;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

pub use self::error::SettingsError;
use self::error::line_of;
use self::field::{BackendField, describe};
use super::backend_context::BackendContext;
use crate::json::{self, Members};

/// The fields of all backends.
const COMMON: [&str; 4] = [
    "type",
    "timeoutSeconds",
    "idleTimeoutSeconds",
    "maxConcurrency",
];

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// No session lives longer than 14 days.
const MAX_TIMEOUT_SECONDS: u64 = 14 * 24 * 60 * 60;

/// No server stores more open turns.
const MAX_CONCURRENCY: usize = 1_000_000;

const MAX_HISTORY_MESSAGES: usize = 1000;

/// `settings.backend`. Each backend reads its own fields from it.
#[derive(Debug, Clone)]
pub struct BackendConfig {
    /// The backend's name; `None` if the file has no `settings.backend`.
    pub kind: Option<String>,
    timeout: Duration,
    /// How long an answer may send nothing once its body has begun.
    pub(super) idle_timeout: Duration,
    /// How many turns run at the same time; `None` leaves it to the backend.
    pub(super) max_concurrency: Option<usize>,
    fields: Vec<BackendField>,
    /// The line in which the object begins.
    line: usize,
}

impl BackendConfig {
    /// Parses `text`, which is a slice of the text `file`.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, SettingsError> {
        let Ok(members) = serde_json::from_str::<Members<'_>>(text) else {
            let found = serde_json::from_str(text).map(|value| describe(&value));
            let found = found.unwrap_or_else(|_| "invalid JSON".into());
            let reason = format!(
                "invalid settings.backend: expected an object such as {{\"type\": \"eliza\"}}, \
                 found {found}"
            );
            return Err(SettingsError::at(file, text, reason));
        };
        let fields = members
            .iter()
            .map(|(name, text)| BackendField::parse(file, name, text));
        let mut config = Self {
            line: line_of(file, text),
            fields: fields.collect::<Result<_, _>>()?,
            ..Self::default()
        };
        let kind = config.text("type")?.ok_or_else(|| {
            let reason = "settings.backend.type is missing; it names the backend, as \"eliza\"";
            config.error(reason.into())
        })?;
        config.kind = Some(kind.to_owned());
        config.timeout = config.seconds("timeoutSeconds", DEFAULT_TIMEOUT)?;
        config.idle_timeout = config.seconds("idleTimeoutSeconds", DEFAULT_IDLE_TIMEOUT)?;
        config.max_concurrency = config.integer("maxConcurrency", &(1..=MAX_CONCURRENCY))?;
        Ok(config)
    }

    /// Refuses fields other than `own` and the common ones: a misspelt one would silently have no
    /// effect.
    pub(super) fn refuse_unknown(&self, own: &[&'static str]) -> Result<(), SettingsError> {
        let is_known = |name| COMMON.contains(&name) || own.contains(&name);
        let Some(field) = self.fields.iter().find(|it| !is_known(&it.name)) else {
            return Ok(());
        };
        let name = &field.name;
        let advice = unknown::advice(name, own, &COMMON);
        let kind = self.kind.as_deref().unwrap_or_default();
        let reason = format!(
            "unknown settings.backend.{name}: a backend of type {kind} has no such field; {advice}"
        );
        let line = field.line;
        Err(SettingsError { line, reason })
    }

    /// Returns a string.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, SettingsError> {
        self.read(name, "a string", Value::as_str)
    }

    /// Returns a string that must be present.
    pub(super) fn required(&self, name: &str) -> Result<&str, SettingsError> {
        self.text(name)?.ok_or_else(|| {
            let kind = self.kind.as_deref().unwrap_or_default();
            self.error(format!(
                "settings.backend.{name} is missing; a backend of type {kind} needs it"
            ))
        })
    }

    /// Returns the value that belongs to one of these strings.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SettingsError> {
        let words: Vec<_> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        self.read(name, &words.join(" or "), |value| {
            let chosen = choices.iter().find(|(word, _)| value == word);
            chosen.map(|(_, meaning)| *meaning)
        })
    }

    /// Returns the values that belong to an array of these strings.
    pub(super) fn choices<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<Vec<T>>, SettingsError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let words = choices.iter().map(|(word, _)| format!("{word:?}"));
        let words: Vec<_> = words.collect();
        let unexpected = |found: &Value| {
            let expected = format!("an array of {}", words.join(", "));
            field.unexpected(&expected, &describe(found))
        };
        let items = field.value.as_array();
        let items = items.ok_or_else(|| unexpected(&field.value))?.iter();
        let chosen = items.map(|item| {
            let choice = choices.iter().find(|(word, _)| item == word);
            choice.map(|(_, it)| *it).ok_or_else(|| unexpected(item))
        });
        chosen.collect::<Result<_, _>>().map(Some)
    }

    /// Returns a boolean.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, SettingsError> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// Returns an integer within these bounds.
    pub(super) fn integer<T: TryFrom<u64> + PartialOrd + Display>(
        &self,
        name: &str,
        bounds: &RangeInclusive<T>,
    ) -> Result<Option<T>, SettingsError> {
        let expected = format!("an integer from {} to {}", bounds.start(), bounds.end());
        self.read(name, &expected, |value| {
            let number = T::try_from(value.as_u64()?).ok();
            number.filter(|number| bounds.contains(number))
        })
    }

    /// Returns a number within these bounds.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: &RangeInclusive<f64>,
    ) -> Result<Option<f64>, SettingsError> {
        let expected = format!("a number from {} to {}", bounds.start(), bounds.end());
        self.read(name, &expected, |value| {
            value.as_f64().filter(|number| bounds.contains(number))
        })
    }

    /// Returns an object. The error does not repeat another value, which may be a secret.
    pub(super) fn object(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<&Map<String, Value>>, SettingsError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let object = field.value.as_object().map(Some);
        object.ok_or_else(|| field.unexpected(expected, json::kind(&field.value)))
    }

    /// Returns how many earlier messages the backend receives.
    pub(super) fn history(&self, default: usize) -> Result<usize, SettingsError> {
        let messages = self.integer("historyMessages", &(0..=MAX_HISTORY_MESSAGES))?;
        Ok(messages.unwrap_or(default))
    }

    /// Parses the URL of a server, which a field or variable of this name holds.
    pub(super) fn url(&self, name: &str, text: &str) -> Result<Url, SettingsError> {
        address::parse(name, text).map_err(|reason| self.error_in(name, reason))
    }

    /// Returns the secret in the variable that a field names, exactly as it was set.
    pub(super) fn secret(
        &self,
        name: &str,
        context: &BackendContext,
    ) -> Result<Option<SecretString>, SettingsError> {
        let Some(variable) = self.text(name)?.filter(|variable| !variable.is_empty()) else {
            return Ok(None);
        };
        if let Some(secret) = context.variables.get(variable) {
            context.secrets.add(&secret);
            return Ok(Some(secret));
        }
        // The field may hold the secret itself, which must not reach the log.
        let reason = if is_variable(variable) {
            format!("settings.backend.{name} names the variable {variable}, which is not set")
        } else {
            format!("settings.backend.{name} must be the name of a variable, not the secret itself")
        };
        Err(self.error_in(name, reason))
    }

    /// Returns the secret in the variable that a field names, for an HTTP header. Blanks around it,
    /// which no header can have, are removed.
    pub(super) fn header_secret(
        &self,
        name: &str,
        context: &BackendContext,
    ) -> Result<Option<SecretString>, SettingsError> {
        let Some(secret) = self.secret(name, context)? else {
            return Ok(None);
        };
        let secret = secret.expose_secret().trim();
        if HeaderValue::from_str(secret).is_err() {
            let reason = format!(
                "the variable that settings.backend.{name} names holds a line break or another \
                 character that no HTTP header can have"
            );
            return Err(self.error_in(name, reason));
        }
        Ok(Some(secret.into()))
    }

    /// Returns how long a whole turn may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns an error of the field of this name, or of the whole if it has no such field.
    pub(super) fn error_in(&self, name: &str, reason: String) -> SettingsError {
        let line = self.field(name).map_or(self.line, |field| field.line);
        SettingsError { line, reason }
    }

    fn error(&self, reason: String) -> SettingsError {
        let line = self.line;
        SettingsError { line, reason }
    }

    fn seconds(&self, name: &str, default: Duration) -> Result<Duration, SettingsError> {
        let seconds = self.integer(name, &(1..=MAX_TIMEOUT_SECONDS))?;
        Ok(seconds.map_or(default, Duration::from_secs))
    }

    /// Reads a field; `None` if it is missing or null.
    fn read<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let value = read(&field.value).map(Some);
        value.ok_or_else(|| field.unexpected(expected, &describe(&field.value)))
    }

    fn field(&self, name: &str) -> Option<&BackendField> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.name == name && !field.value.is_null())
    }
}

impl Default for BackendConfig {
    fn default() -> Self {
        Self {
            kind: None,
            timeout: DEFAULT_TIMEOUT,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            max_concurrency: None,
            fields: Vec::new(),
            line: 1,
        }
    }
}

/// Returns whether a text has the usual form of a variable's name.
pub(super) fn is_variable(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_allowed)
}
