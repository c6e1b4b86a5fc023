//! A field of `settings.backend`.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use super::error::{SettingsError, line_of, reason_of};
use crate::json;

/// Longer strings are not repeated in errors, in characters.
const MAX_SHOWN: usize = 40;

/// A field with its line in the file.
#[derive(Clone)]
pub(super) struct BackendField {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

impl BackendField {
    pub(super) fn parse(file: &str, name: &str, text: &RawValue) -> Result<Self, SettingsError> {
        let name = name.to_owned();
        let line = line_of(file, text.get());
        let value = serde_json::from_str(text.get()).map_err(|error| SettingsError {
            line,
            reason: format!("settings.backend.{name}: {}", reason_of(&error)),
        })?;
        Ok(Self { name, value, line })
    }

    /// Returns the error of a field that has another value than it may have.
    pub(super) fn unexpected(&self, expected: &str, found: &str) -> SettingsError {
        let name = &self.name;
        SettingsError {
            line: self.line,
            reason: format!("invalid settings.backend.{name}: expected {expected}, found {found}"),
        }
    }
}

impl fmt::Debug for BackendField {
    /// Leaves the value out, which may be a misplaced secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Describes a value in an error.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => json::kind(value).into(),
        Value::String(text) if text.chars().count() > MAX_SHOWN => "a long string".into(),
        other => other.to_string(),
    }
}
