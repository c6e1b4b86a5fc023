//! Character files: `ElizaOS`'s description of an agent.

mod file;
mod timeouts;

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};
use uuid::Uuid;

use self::file::CharacterFile;
use super::settings::{BackendConfig, SettingsFault};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::domain::timeout::TimeoutOverrides;
use crate::json;

/// The id of the built-in agent, which is that of any character named "Eliza".
pub const ELIZA_ID: Uuid = Uuid::from_u128(0xb850_bc30_45f8_0041_a00a_83df_46d8_555d);

/// What JavaScript's `encodeURIComponent` escapes (ECMA-262, `Encode`), beside all that is not ASCII.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

const BUILT_IN: &str = include_str!("../eliza.json");

/// Who an agent is.
#[derive(Debug, Clone)]
pub struct Character {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// What may be shown of its file.
    pub profile: Profile,
    /// Its sessions' timeouts, where it has a say.
    pub timeouts: TimeoutOverrides,
    /// Who answers for it.
    pub backend: BackendConfig,
    /// When its file was last changed.
    pub modified_at: Timestamp,
    /// Its file; none for the built-in agent.
    pub file: Option<PathBuf>,
}

/// What may be shown of a character file: never its settings, secrets or knowledge.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// A text, or a list of lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adjectives: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub style: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_examples: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_examples: Option<Value>,
    /// As in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Value>,
}

/// A character file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {reason}", path.display())]
pub struct CharacterError {
    /// The file.
    pub path: PathBuf,
    /// The line at fault, from 1.
    pub line: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

impl Character {
    /// Reads a character from the text of its file.
    ///
    /// # Errors
    /// The text is no character, with the line at fault.
    pub fn parse(path: &Path, text: &str, modified_at: Timestamp) -> Result<Self, CharacterError> {
        let text = json::well_formed(text.as_bytes());
        // Nothing but ASCII was replaced in it.
        let text = String::from_utf8_lossy(&text);
        let file = CharacterFile::parse(&text).map_err(|fault| CharacterError {
            path: path.to_owned(),
            line: fault.line,
            reason: fault.reason,
        })?;
        Ok(Self {
            id: AgentId(file.id.unwrap_or_else(|| id_of_name(&file.name))),
            name: file.name,
            profile: file.profile,
            timeouts: file.settings.timeouts,
            backend: file.settings.backend,
            modified_at,
            file: Some(path.to_owned()),
        })
    }

    /// The agent that needs nothing outside the binary.
    ///
    /// # Errors
    /// Never, since its file is part of the program and tested.
    pub fn built_in(modified_at: Timestamp) -> Result<Self, CharacterError> {
        let character = Self::parse(Path::new("(built in)"), BUILT_IN, modified_at)?;
        Ok(Self {
            file: None,
            ..character
        })
    }

    /// A fault of the character's file.
    #[must_use]
    pub fn fault(&self, fault: SettingsFault) -> CharacterError {
        let path = self.file.clone();
        CharacterError {
            path: path.unwrap_or_else(|| PathBuf::from("(built in)")),
            line: fault.line,
            reason: fault.reason,
        }
    }

    /// What the agent is, in a line: the first one where there are several.
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

/// The id that `ElizaOS` derives from a name: its `stringToUuid` takes the SHA-1 of the name as
/// `encodeURIComponent` writes it, and marks variant and version in its own way.
#[must_use]
pub fn id_of_name(name: &str) -> Uuid {
    let mut digest = Sha1::new();
    for part in utf8_percent_encode(name, URI_COMPONENT) {
        digest.update(part);
    }
    let digest = digest.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] &= 0x0f;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
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
        assert_eq!(id_of_name("Eliza"), ELIZA_ID);
        assert_eq!(Character::built_in(Timestamp(0)).unwrap().id.0, ELIZA_ID);
        let encoded = utf8_percent_encode("Zoë (2)!", URI_COMPONENT);
        assert_eq!(encoded.to_string(), "Zo%C3%AB%20(2)!");
    }

    #[test]
    fn an_older_or_fuller_file_is_read() {
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
        let shown = serde_json::to_string(&ada.profile).unwrap();
        assert_eq!(shown, r#"{"bio":["First line","Second"]}"#);
    }

    #[test]
    fn of_two_members_of_one_name_the_last_one_counts() {
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
        assert_eq!(ada.id.0, id_of_name("Ada"));
        assert_eq!(ada.timeouts.timeout_minutes, Some(7.0));
        assert_eq!(ada.backend.timeout(), Duration::from_secs(9));
    }

    #[test]
    fn a_file_is_read_as_javascript_writes_it() {
        let text = "\u{feff}{\"name\": \"Ada \\ud83c\", \"bio\": [\"\\udf89 cut\"],\n\
                    \"settings\": {\"backend\": {\"type\": \"\\ud800\"}}}";
        let ada = parse(text).unwrap();
        assert_eq!(ada.name, "Ada \u{fffd}");
        assert_eq!(ada.bio_line(), "\u{fffd} cut");
        assert_eq!(ada.backend.kind.as_deref(), Some("\u{fffd}"));
        assert_eq!(ada.backend.fault_in("type", String::new()).line, 2);
    }

    #[test]
    fn a_file_that_is_nested_too_deeply_is_refused_with_its_line() {
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
    fn a_broken_file_is_named_with_its_line() {
        for (text, line, reason) in [
            ("{\n\"name\": \"Ada\",\n}", 3, "trailing comma"),
            ("{\n\"id\": \"abc\",\n\"name\": \"Ada\"}", 2, "not a UUID"),
            ("{\"bio\": \"x\"}", 1, "name is missing"),
            ("{\n\"id\": 7,\n\"name\": \"Ada\"}", 2, "id must be a UUID"),
            ("{\n\"name\": [\n]}", 2, "name must be a text"),
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
                "settings.backend.type is 7; allowed is a text",
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
