//! Parses character files member by member, so that an error names its line, and so that the last
//! of two members with the same name counts, as in `JSON.parse`.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::background::Background;
use super::profile::Profile;
use super::unread;
use crate::agents::settings::{BackendConfig, SettingsError};
use crate::domain::id::parse_uuid;
use crate::domain::timeout::TimeoutOverrides;
use crate::json::{self, JsNumber, Members};

/// The parts of a character file.
pub(super) struct CharacterFile {
    pub(super) id: Option<Uuid>,
    pub(super) name: String,
    pub(super) profile: Profile,
    pub(super) background: Background,
    pub(super) timeouts: TimeoutOverrides,
    pub(super) backend: BackendConfig,
    /// Members that name a model or plugins.
    pub(super) unread: Vec<&'static str>,
}

impl CharacterFile {
    /// Parses the text of a file, which has no unpaired surrogate escapes.
    pub(super) fn parse(text: &str) -> Result<Self, SettingsError> {
        json::refuse_reserved_names(text.as_bytes())
            .map_err(|error| SettingsError::in_part(text, text, &error))?;
        let members = object(text, text, "a character, which is a JSON object")?;
        let name = members.get("name").ok_or_else(|| SettingsError {
            // Where the object ends.
            line: text.trim_end().lines().count(),
            reason: "name is missing; a character needs one".into(),
        })?;
        let id = members.get("id");
        let id = id.map(|id| read_id(text, id)).transpose()?.flatten();
        let name = read_name(text, name)?;
        let mut fields = read_fields(text, &members)?;
        let background = Background::take_from(&mut fields);
        let settings = match present(&members, "settings") {
            Some(settings) => object(text, settings.get(), "settings, which are a JSON object")?,
            None => Members::default(),
        };
        let backend = present(&settings, "backend");
        let backend = backend.map(|backend| BackendConfig::parse(text, backend.get()));
        Ok(Self {
            id,
            name,
            profile: json::read(fields),
            background,
            timeouts: read_timeouts(&settings),
            backend: backend.transpose()?.unwrap_or_default(),
            unread: unread::find(&members, &settings),
        })
    }
}

/// Returns a member that is not null, which counts as missing as in `ElizaOS`.
fn present<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    members.get(name).filter(|value| value.get() != "null")
}

fn object<'a>(file: &str, text: &'a str, expected: &str) -> Result<Members<'a>, SettingsError> {
    serde_json::from_str(text).map_err(|error| {
        let at = SettingsError::in_part(file, text, &error);
        if error.is_data() {
            let reason = format!("expected {expected}");
            return SettingsError { reason, ..at };
        }
        at
    })
}

fn read<T: DeserializeOwned>(file: &str, value: &RawValue) -> Result<T, SettingsError> {
    let text = value.get();
    serde_json::from_str(text).map_err(|error| SettingsError::in_part(file, text, &error))
}

fn read_id(file: &str, value: &RawValue) -> Result<Option<Uuid>, SettingsError> {
    let reason = match read(file, value)? {
        Value::Null => return Ok(None),
        Value::String(text) => match parse_uuid(&text) {
            Some(id) => return Ok(Some(id)),
            None => format!("id is {text:?}, which is not a UUID"),
        },
        _ => "id must be a UUID in quotes".into(),
    };
    Err(SettingsError::at(file, value.get(), reason))
}

fn read_name(file: &str, value: &RawValue) -> Result<String, SettingsError> {
    let reason = match read(file, value)? {
        Value::String(name) if !name.trim().is_empty() => return Ok(name),
        Value::String(_) => "name must not be empty",
        _ => "name must be a string",
    };
    Err(SettingsError::at(file, value.get(), reason))
}

/// Reads the members other than the settings.
fn read_fields(file: &str, members: &Members<'_>) -> Result<Map<String, Value>, SettingsError> {
    let mut fields = Map::new();
    for (name, value) in members.iter().filter(|(name, _)| *name != "settings") {
        fields.insert(name.to_owned(), read(file, value)?);
    }
    Ok(fields)
}

/// Reads the timeouts in `settings`. Invalid ones count as missing.
fn read_timeouts(settings: &Members<'_>) -> TimeoutOverrides {
    let number = |name| {
        let number: JsNumber = serde_json::from_str(settings.get(name)?.get()).ok()?;
        number.0
    };
    TimeoutOverrides {
        timeout_minutes: number("SESSION_TIMEOUT_MINUTES"),
        auto_renew: settings.get("SESSION_AUTO_RENEW").and_then(read_flag),
        max_duration_minutes: number("SESSION_MAX_DURATION_MINUTES"),
        warning_threshold_minutes: number("SESSION_WARNING_THRESHOLD_MINUTES"),
    }
}

/// Reads a boolean, `"true"` or `"false"` in any case, 1 or 0.
fn read_flag(value: &RawValue) -> Option<bool> {
    let text = match serde_json::from_str(value.get()).ok()? {
        Value::Bool(flag) => return Some(flag),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.as_u64()?.to_string(),
        _ => return None,
    };
    match text.as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
