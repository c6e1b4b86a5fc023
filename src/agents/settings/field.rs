//! A field of `settings.backend`, as it stands in the file.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use super::SettingsFault;
use crate::json;

/// How much of a text is shown where another value is wanted.
const MAX_SHOWN: usize = 40;

/// A field as it stands in the file.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

impl Field {
    pub(super) fn parse(file: &str, name: &str, text: &RawValue) -> Result<Self, SettingsFault> {
        let name = name.to_owned();
        let line = line_of(file, text.get());
        let value = serde_json::from_str(text.get()).map_err(|error| SettingsFault {
            line,
            reason: format!("settings.backend.{name}: {}", reason_of(&error)),
        })?;
        Ok(Self { name, value, line })
    }

    pub(super) fn fault(&self, reason: String) -> SettingsFault {
        SettingsFault {
            line: self.line,
            reason,
        }
    }

    pub(super) fn refused(&self, allowed: &str) -> SettingsFault {
        let (name, found) = (&self.name, shown(self.value.clone()));
        self.fault(format!(
            "settings.backend.{name} is {found}; allowed is {allowed}"
        ))
    }
}

impl fmt::Debug for Field {
    /// The value may be a secret that does not belong there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The line of a file's text in which a part of it begins.
pub(in crate::agents) fn line_of(file: &str, part: &str) -> usize {
    // Both are of the same bytes, so their places tell where the one lies in the other.
    let start = part.as_ptr().addr().saturating_sub(file.as_ptr().addr());
    let before = file.as_bytes().iter().take(start);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// What stands in a field, in words.
pub(super) fn shown(value: Value) -> String {
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) if text.chars().count() > MAX_SHOWN => "a long text".into(),
        other => other.to_string(),
    }
}

/// What stands in a field, without the value.
pub(in crate::agents) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The error without its position, which is shown apart from it.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let text = json::explain(error);
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}
