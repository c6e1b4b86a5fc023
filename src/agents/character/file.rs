//! Reads character files member by member, so that what is wrong is told with its line, and so that
//! of two members of one name the last one counts, as in `JSON.parse`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Profile, timeouts};
use crate::agents::settings::{BackendConfig, SettingsFault, line_of};
use crate::domain::id::parse_uuid;
use crate::domain::timeout::TimeoutOverrides;
use crate::json::{self, Members};

/// A character file.
pub(super) struct CharacterFile {
    pub(super) id: Option<Uuid>,
    pub(super) name: String,
    pub(super) profile: Profile,
    pub(super) settings: Settings,
}

#[derive(Default)]
pub(super) struct Settings {
    pub(super) timeouts: TimeoutOverrides,
    pub(super) backend: BackendConfig,
}

impl CharacterFile {
    /// Reads a file whose text is well formed.
    pub(super) fn parse(text: &str) -> Result<Self, SettingsFault> {
        json::refuse_reserved_names(text.as_bytes())
            .map_err(|error| SettingsFault::in_part(text, text, &error))?;
        let members = object(text, text, "a character, which is a JSON object")?;
        let name = members.get("name").ok_or_else(|| SettingsFault {
            // Where the object ends without one.
            line: text.trim_end().lines().count(),
            reason: "name is missing; a character needs one".into(),
        })?;
        let settings = members
            .get("settings")
            .filter(|settings| is_there(settings));
        Ok(Self {
            id: members.get("id").map_or(Ok(None), |id| read_id(text, id))?,
            name: read_name(text, name)?,
            profile: read_profile(text, &members)?,
            settings: settings.map_or(Ok(Settings::default()), |settings| {
                Settings::parse(text, settings.get())
            })?,
        })
    }
}

impl Settings {
    fn parse(file: &str, text: &str) -> Result<Self, SettingsFault> {
        let members = object(file, text, "settings, which are a JSON object")?;
        // What cannot be read of them counts as not given.
        let readable = members.iter().filter_map(|(name, value)| {
            let value = serde_json::from_str(value.get()).ok()?;
            Some((name.to_owned(), value))
        });
        let readable: Map<String, Value> = readable.collect();
        let backend = members.get("backend").filter(|backend| is_there(backend));
        Ok(Self {
            timeouts: timeouts::read(&readable),
            backend: backend.map_or(Ok(BackendConfig::default()), |backend| {
                BackendConfig::parse(file, backend.get())
            })?,
        })
    }
}

/// Null stands for nothing, as in `ElizaOS`.
fn is_there(value: &RawValue) -> bool {
    value.get() != "null"
}

fn object<'a>(file: &str, text: &'a str, expected: &str) -> Result<Members<'a>, SettingsFault> {
    serde_json::from_str(text).map_err(|error| {
        let fault = SettingsFault::in_part(file, text, &error);
        if error.is_data() {
            let reason = format!("expected {expected}");
            return SettingsFault { reason, ..fault };
        }
        fault
    })
}

fn read<T: DeserializeOwned>(file: &str, value: &RawValue) -> Result<T, SettingsFault> {
    let text = value.get();
    serde_json::from_str(text).map_err(|error| SettingsFault::in_part(file, text, &error))
}

fn read_id(file: &str, value: &RawValue) -> Result<Option<Uuid>, SettingsFault> {
    let Value::String(text) = read(file, value)? else {
        if is_there(value) {
            return Err(fault_of(file, value, "id must be a UUID in quotes".into()));
        }
        return Ok(None);
    };
    let id = parse_uuid(&text);
    let wrong = || fault_of(file, value, format!("id is {text:?}, which is not a UUID"));
    id.map(Some).ok_or_else(wrong)
}

fn read_name(file: &str, value: &RawValue) -> Result<String, SettingsFault> {
    let Value::String(name) = read(file, value)? else {
        return Err(fault_of(
            file,
            value,
            "name must be a text in quotes".into(),
        ));
    };
    if name.trim().is_empty() {
        return Err(fault_of(file, value, "name must not be empty".into()));
    }
    Ok(name)
}

fn read_profile(file: &str, members: &Members<'_>) -> Result<Profile, SettingsFault> {
    let mut fields = Map::new();
    for (name, value) in members.iter().filter(|(name, _)| *name != "settings") {
        fields.insert(name.to_owned(), read(file, value)?);
    }
    // Its fields take any value.
    Ok(Profile::deserialize(Value::Object(fields)).unwrap_or_default())
}

fn fault_of(file: &str, value: &RawValue, reason: String) -> SettingsFault {
    SettingsFault {
        line: line_of(file, value.get()),
        reason,
    }
}
