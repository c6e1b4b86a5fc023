//! `settings.backend` of a character file, field by field. What is wrong with one is told with its
//! line, with what stands there and with what is allowed.

mod field;
mod unknown;

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use self::field::{Field, reason_of, shown};
pub(super) use self::field::{kind_of, line_of};
use super::client::http_client;
use super::registry::BackendContext;
use crate::json::Members;

/// The fields that all backends have.
const COMMON: [&str; 4] = [
    "type",
    "timeoutSeconds",
    "idleTimeoutSeconds",
    "maxConcurrency",
];

/// How long a turn may take unless its file says otherwise, in seconds.
const TIMEOUT: u32 = 600;

/// How long an answer that has begun may send nothing unless its file says otherwise, in seconds.
const IDLE_TIMEOUT: u32 = 60;

/// The longest time of a turn, in seconds: no session lives longer than 14 days.
const MAX_TIMEOUT: u32 = 14 * 24 * 60 * 60;

/// The most turns at once: no server holds more of them.
const MAX_CONCURRENCY: u32 = 1_000_000;

/// The most messages of history that a character can ask for.
const MAX_HISTORY: u32 = 1000;

/// `settings.backend`. Each backend reads its own fields of it.
#[derive(Debug, Clone)]
pub struct BackendConfig {
    /// Which backend; none where the file does not say.
    pub kind: Option<String>,
    timeout_seconds: u32,
    idle_timeout_seconds: u32,
    max_concurrency: Option<u32>,
    fields: Vec<Field>,
    /// The line in which it begins.
    line: usize,
}

/// What is wrong with `settings.backend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFault {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl BackendConfig {
    /// Reads the part of a file's text that it is.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, SettingsFault> {
        let line = line_of(file, text);
        let Ok(members) = serde_json::from_str::<Members<'_>>(text) else {
            let found = serde_json::from_str(text).map_or_else(|_| "unreadable".into(), shown);
            let reason = format!(
                "settings.backend is {found}; allowed is an object such as {{\"type\": \"eliza\"}}"
            );
            return Err(SettingsFault { line, reason });
        };
        let fields = members
            .iter()
            .map(|(name, text)| Field::parse(file, name, text));
        let mut config = Self {
            line,
            fields: fields.collect::<Result<_, _>>()?,
            ..Self::default()
        };
        let kind = config.text("type")?.ok_or_else(|| {
            let reason = "settings.backend.type is missing; it says who answers, as \"eliza\"";
            config.fault(reason.into())
        })?;
        config.kind = Some(kind.to_owned());
        config.timeout_seconds = config
            .whole("timeoutSeconds", &(1..=MAX_TIMEOUT))?
            .unwrap_or(TIMEOUT);
        config.idle_timeout_seconds = config
            .whole("idleTimeoutSeconds", &(1..=MAX_TIMEOUT))?
            .unwrap_or(IDLE_TIMEOUT);
        config.max_concurrency = config.whole("maxConcurrency", &(1..=MAX_CONCURRENCY))?;
        Ok(config)
    }

    /// Refuses fields but these and the common ones: one that is misspelt would do nothing, and
    /// nobody would know why.
    pub(super) fn allow(&self, own: &[&'static str]) -> Result<(), SettingsFault> {
        let is_known = |name| COMMON.contains(&name) || own.contains(&name);
        let Some(field) = self.fields.iter().find(|it| !is_known(&it.name)) else {
            return Ok(());
        };
        let name = &field.name;
        let advice = unknown::advice(name, own, &COMMON);
        let kind = self.kind.as_deref().unwrap_or_default();
        Err(field.fault(format!(
            "settings.backend.{name} is set, but a backend of type {kind} has no such field; \
             {advice}"
        )))
    }

    /// A text; none where the field is missing or null.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, SettingsFault> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        match &field.value {
            Value::String(text) => Ok(Some(text)),
            _ => Err(field.refused("a text in quotes")),
        }
    }

    /// A text that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, SettingsFault> {
        self.text(name)?.ok_or_else(|| {
            let kind = self.kind.as_deref().unwrap_or_default();
            self.fault(format!(
                "settings.backend.{name} is missing; a backend of type {kind} needs it"
            ))
        })
    }

    /// One of these words, as what it stands for.
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, SettingsFault> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|(word, _)| field.value == *word);
        found.map(|(_, meaning)| Some(*meaning)).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            field.refused(&words.join(" or "))
        })
    }

    /// A whole number within these bounds.
    pub(super) fn whole(
        &self,
        name: &str,
        bounds: &RangeInclusive<u32>,
    ) -> Result<Option<u32>, SettingsFault> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let number = field.value.as_u64().and_then(|it| u32::try_from(it).ok());
        let number = number.filter(|it| bounds.contains(it));
        number.map(Some).ok_or_else(|| {
            let (min, max) = (bounds.start(), bounds.end());
            field.refused(&format!("a whole number of {min} to {max}"))
        })
    }

    /// A number within these bounds.
    pub(super) fn number(
        &self,
        name: &str,
        bounds: &RangeInclusive<f64>,
    ) -> Result<Option<f64>, SettingsFault> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        let number = field.value.as_f64().filter(|it| bounds.contains(it));
        number.map(Some).ok_or_else(|| {
            let (min, max) = (bounds.start(), bounds.end());
            field.refused(&format!("a number of {min} to {max}"))
        })
    }

    /// An object. What stands there instead is not shown, since it may be a secret.
    pub(super) fn object(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Option<&Map<String, Value>>, SettingsFault> {
        let Some(field) = self.field(name) else {
            return Ok(None);
        };
        field.value.as_object().map(Some).ok_or_else(|| {
            let found = kind_of(&field.value);
            field.fault(format!(
                "settings.backend.{name} is {found}; allowed is {allowed}"
            ))
        })
    }

    /// How many of the earlier messages the server behind is shown.
    pub(super) fn history(&self, default: usize) -> Result<usize, SettingsFault> {
        let messages = self.whole("historyMessages", &(0..=MAX_HISTORY))?;
        Ok(messages.map_or(default, |it| usize::try_from(it).unwrap_or(default)))
    }

    /// The address of a server, in a field or a variable of this name.
    pub(super) fn address(&self, name: &str, text: &str) -> Result<Url, SettingsFault> {
        http_client::address(text).ok_or_else(|| {
            self.fault_in(
                name,
                format!(
                    "{name} must be an address that begins with http:// or https:// and has a host, \
                     and a port of 1 to 65535 where it has one"
                ),
            )
        })
    }

    /// The secret in the variable that a field names, exactly as it was set.
    pub(super) fn secret(
        &self,
        name: &str,
        tools: &BackendContext,
    ) -> Result<Option<SecretString>, SettingsFault> {
        let Some(variable) = self.text(name)?.filter(|variable| !variable.is_empty()) else {
            return Ok(None);
        };
        let reason = match tools.variables.get(variable) {
            Some(secret) => return Ok(Some(secret)),
            // Whoever took the field for the secret itself must not find it in the log.
            None if is_variable(variable) => {
                format!("settings.backend.{name} names the variable {variable}, which is not set")
            }
            None => format!(
                "settings.backend.{name} must be the name of a variable, not a secret itself"
            ),
        };
        Err(self.fault_in(name, reason))
    }

    /// The secret in the variable that a field names, for an HTTP header: none can carry the blanks
    /// around it.
    pub(super) fn header_secret(
        &self,
        name: &str,
        tools: &BackendContext,
    ) -> Result<Option<SecretString>, SettingsFault> {
        let Some(secret) = self.secret(name, tools)? else {
            return Ok(None);
        };
        let secret = secret.expose_secret().trim();
        if HeaderValue::from_str(secret).is_err() {
            let reason = format!(
                "the variable that settings.backend.{name} names holds a line break or another \
                 character that no HTTP header can carry"
            );
            return Err(self.fault_in(name, reason));
        }
        Ok(Some(secret.into()))
    }

    /// How long a whole turn may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }

    /// How long an answer may send nothing once its body has begun.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds.into())
    }

    /// How many turns it runs at once; none where the file does not say.
    #[must_use]
    pub fn max_concurrency(&self) -> Option<usize> {
        let most = self.max_concurrency?;
        Some(usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Something that is wrong with it.
    #[must_use]
    pub fn fault(&self, reason: String) -> SettingsFault {
        SettingsFault {
            line: self.line,
            reason,
        }
    }

    /// Something that is wrong with a field, if it has that.
    pub(super) fn fault_in(&self, name: &str, reason: String) -> SettingsFault {
        let line = self.field(name).map_or(self.line, |field| field.line);
        SettingsFault { line, reason }
    }

    /// A field that is there; null stands for none.
    fn field(&self, name: &str) -> Option<&Field> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.name == name && !field.value.is_null())
    }
}

impl Default for BackendConfig {
    fn default() -> Self {
        Self {
            kind: None,
            timeout_seconds: TIMEOUT,
            idle_timeout_seconds: IDLE_TIMEOUT,
            max_concurrency: None,
            fields: Vec::new(),
            line: 1,
        }
    }
}

impl SettingsFault {
    /// What is wrong with a part of a file, from the error of the part's reader.
    pub(super) fn in_part(file: &str, part: &str, error: &serde_json::Error) -> Self {
        // Errors of the types count no lines; those of the syntax count them within the part.
        let lines_before = error.line().saturating_sub(1);
        Self {
            line: line_of(file, part) + lines_before,
            reason: reason_of(error),
        }
    }
}

/// Whether a text looks like a variable's name, as people write them.
fn is_variable(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(is_allowed)
}
