//! Character files: `ElizaOS`'s description of an agent.

mod background;
mod file;
mod profile;
mod unread;

use std::path::{Path, PathBuf};

use serde_json::Value;
use uuid::Uuid;

pub use self::background::Background;
use self::file::CharacterFile;
pub use self::profile::Profile;
use super::settings::{BackendConfig, SettingsError};
use crate::domain::derived_id::derive_uuid;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutOverrides;
use crate::json;

/// The id of the built-in agent, and of any character with the name "Eliza" and without an id.
pub const ELIZA_ID: Uuid = Uuid::from_u128(0xb850_bc30_45f8_0041_a00a_83df_46d8_555d);

const BUILT_IN: &str = include_str!("../eliza.json");

/// The built-in agent if a model replies for it.
const BUILT_IN_WITH_MODEL: &str = r#"{
    "name": "Eliza",
    "bio": ["A helpful assistant, built into this server and answered by a model."],
    "system": "You are Eliza, a helpful assistant. Answer briefly and to the point."
}"#;

/// Stands for the path of the built-in agent's file.
const BUILT_IN_PATH: &str = "(built in)";

/// A parsed character file.
#[derive(Debug, Clone)]
pub struct Character {
    /// The agent's id.
    pub id: AgentId,
    /// The agent's name.
    pub name: String,
    /// The public part of the file.
    pub profile: Profile,
    /// The part of the file that only its model sees.
    pub background: Background,
    /// The timeouts of new sessions that the file sets.
    pub timeouts: TimeoutOverrides,
    /// The backend's settings.
    pub backend: BackendConfig,
    /// Members of the file that name a model or plugins, which only `ElizaOS` reads.
    pub unread: Vec<&'static str>,
    /// When the file was last modified.
    pub modified_at: Timestamp,
    /// The file; `None` for the built-in agent.
    pub file: Option<PathBuf>,
}

/// A character file is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {reason}", path.display())]
pub struct CharacterError {
    /// The file.
    pub path: PathBuf,
    /// The line of the error, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl CharacterError {
    fn new(path: &Path, error: SettingsError) -> Self {
        Self {
            path: path.to_owned(),
            line: error.line,
            reason: error.reason,
        }
    }
}

impl Character {
    /// Parses the text of a character file.
    ///
    /// # Errors
    /// The text is not a valid character.
    pub fn parse(path: &Path, text: &str, modified_at: Timestamp) -> Result<Self, CharacterError> {
        let text = json::well_formed(text.as_bytes());
        // Only ASCII was replaced, so it is still UTF-8.
        let text = String::from_utf8_lossy(&text);
        let file = CharacterFile::parse(&text).map_err(|error| CharacterError::new(path, error))?;
        Ok(Self {
            id: AgentId(file.id.unwrap_or_else(|| derive_uuid(&file.name))),
            name: file.name,
            profile: file.profile,
            background: file.background,
            timeouts: file.timeouts,
            backend: file.backend,
            unread: file.unread,
            modified_at,
            file: Some(path.to_owned()),
        })
    }

    /// Returns the built-in agent.
    ///
    /// # Errors
    /// Never: its file is compiled in and tested.
    pub fn built_in(modified_at: Timestamp) -> Result<Self, CharacterError> {
        Self::compiled_in(BUILT_IN, modified_at)
    }

    /// Returns the built-in agent as it is if a model replies for it. What the rule engine says
    /// about itself would mislead a model.
    ///
    /// # Errors
    /// Never: its text is compiled in and tested.
    pub fn built_in_with_model(modified_at: Timestamp) -> Result<Self, CharacterError> {
        Self::compiled_in(BUILT_IN_WITH_MODEL, modified_at)
    }

    fn compiled_in(text: &str, modified_at: Timestamp) -> Result<Self, CharacterError> {
        let character = Self::parse(Path::new(BUILT_IN_PATH), text, modified_at)?;
        Ok(Self {
            file: None,
            ..character
        })
    }

    /// Adds the path of the character's file to an error.
    pub(super) fn error(&self, error: SettingsError) -> CharacterError {
        let path = self.file.as_deref();
        CharacterError::new(path.unwrap_or(Path::new(BUILT_IN_PATH)), error)
    }

    /// Returns the first line of the agent's biography.
    #[must_use]
    pub fn bio_line(&self) -> &str {
        let text = match &self.profile.bio {
            Some(Value::String(text)) => text,
            Some(Value::Array(lines)) => lines.iter().find_map(Value::as_str).unwrap_or_default(),
            _ => "",
        };
        text.lines().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Character, CharacterError> {
        Character::parse(Path::new("ada.json"), text, Timestamp(0))
    }

    #[test]
    fn an_id_is_derived_from_the_name_as_elizaos_does() {
        assert_eq!(derive_uuid("Eliza"), ELIZA_ID);
        assert_eq!(Character::built_in(Timestamp(0)).unwrap().id.0, ELIZA_ID);
        let with_model = Character::built_in_with_model(Timestamp(0)).unwrap();
        assert_eq!(with_model.id.0, ELIZA_ID);
    }

    #[test]
    fn files_with_other_fields_are_read() {
        let text = json!({
            "name": "Ada", "bio": ["First line", "Second"], "secrets": {"KEY": "x"},
            "clients": ["discord"], "knowledge": ["k"], "lore": [],
            "settings": {"SESSION_TIMEOUT_MINUTES": "45", "SESSION_AUTO_RENEW": "false",
                         "voice": {"model": "en"}, "secrets": {"API": "y"}},
        });
        let ada = parse(&text.to_string()).unwrap();
        assert_eq!(ada.bio_line(), "First line");
        assert_eq!(ada.timeouts.timeout_minutes, Some(45.0));
        assert_eq!(ada.timeouts.auto_renew, Some(false));
        assert_eq!(ada.backend.timeout(), Duration::from_mins(10));
        let profile = Profile {
            bio: Some(json!(["First line", "Second"])),
            ..Profile::default()
        };
        assert_eq!(ada.profile, profile, "the rest is not public");
    }

    #[test]
    fn members_that_name_a_model_elsewhere_are_noted_unless_they_are_empty() {
        let unread = |text| parse(text).unwrap().unread;
        assert_eq!(
            unread(
                r#"{"name": "Ada", "modelProvider": "openai", "plugins": ["@elizaos/plugin-openai"],
                    "settings": {"model": "gpt-4o", "voice": {"model": "en"}}}"#
            ),
            ["modelProvider", "plugins", "settings.model"]
        );
        let empty = r#"{"name": "Ada", "modelProvider": "", "plugins": [ ],
                        "settings": {"model": null}}"#;
        assert!(unread(empty).is_empty());
    }

    #[test]
    fn the_last_of_two_members_with_the_same_name_counts() {
        let ada = parse(
            r#"{"id": "x", "name": "Eve", "bio": "old", "settings": {"backend": {"type": "gpt"}},
                "name": "Ada", "bio": "new", "id": null,
                "settings": {"SESSION_TIMEOUT_MINUTES": 5, "backend": [],
                             "SESSION_TIMEOUT_MINUTES": 7,
                             "backend": {"type": "eliza", "timeoutSeconds": "no",
                                         "timeoutSeconds": 9}}}"#,
        );
        let ada = ada.unwrap();
        assert_eq!((ada.name.as_str(), ada.bio_line()), ("Ada", "new"));
        assert_eq!(ada.id.0, derive_uuid("Ada"));
        assert_eq!(ada.timeouts.timeout_minutes, Some(7.0));
        assert_eq!(ada.backend.timeout(), Duration::from_secs(9));
    }

    #[test]
    fn files_are_read_as_javascript_writes_them() {
        let text = "\u{feff}{\"name\": \"Ada \\ud83c\", \"bio\": [\"\\udf89 cut\"],\n\
                    \"settings\": {\"backend\": {\"type\": \"\\ud800\"}}}";
        let ada = parse(text).unwrap();
        assert_eq!(ada.name, "Ada \u{fffd}");
        assert_eq!(ada.bio_line(), "\u{fffd} cut");
        assert_eq!(ada.backend.kind.as_deref(), Some("\u{fffd}"));
        assert_eq!(ada.backend.error_in("type", String::new()).line, 2);
    }

    #[test]
    fn a_file_that_is_nested_too_deeply_is_refused() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for text in [
            deep.clone(),
            format!("{{\"name\": \"Ada\",\n\"bio\": {deep}}}"),
            format!("{{\"name\": \"Ada\",\n\"settings\": {{\"backend\": {{\"type\": {deep}}}}}}}"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            let said = error.contains("more than 127 levels") || error.contains("a character");
            assert!(said, "{}", &error[..200.min(error.len())]);
        }
    }

    #[test]
    fn an_error_names_the_file_and_the_line() {
        for (text, line, reason) in [
            ("{\n\"name\": \"Ada\",\n}", 3, "trailing comma"),
            ("{\n\"id\": \"abc\",\n\"name\": \"Ada\"}", 2, "not a UUID"),
            ("{\"bio\": \"x\"}", 1, "name is missing"),
            ("{\n\"id\": 7,\n\"name\": \"Ada\"}", 2, "id must be a UUID"),
            ("{\n\"name\": [\n]}", 2, "name must be a string"),
            (
                "{\"name\": \"A\",\n\"bio\": [\n1,\n1e400]}",
                4,
                "beyond the range",
            ),
            (
                "{\"name\": \"A\",\n\"settings\": [\n]}",
                2,
                "expected settings, which are a JSON object",
            ),
            ("{\"name\":\n\"\"}", 2, "must not be empty"),
            ("[]", 1, "expected a character, which is a JSON object"),
            (
                "{\"name\": \"A\",\n\"settings\": {\n\"backend\": {\n\"type\": 7}}}",
                4,
                "invalid settings.backend.type: expected a string",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
            assert!(
                error.to_string().starts_with(&format!("ada.json:{line}: ")),
                "{text}: {error}"
            );
        }
    }
}
