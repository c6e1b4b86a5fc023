//! A new agent: the address of its server, and its character file.

use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::backend_context::BackendContext;
use super::backends::openai::{Provider, VariableModel};
use super::character::{Character, CharacterError};
use super::client;
use super::registry::{Agent, RegistryError, character_files, read};
use super::settings::{address, is_variable};
use super::variables::Variables;
use crate::domain::derived_id::derive_uuid;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// Where Ollama listens by default.
const OLLAMA: &str = "http://127.0.0.1:11434/v1";

/// The longest name of an agent, in characters.
const MAX_NAME: usize = 100;

/// The longest name of a file without its ending, in bytes: file systems allow 255.
const MAX_FILE_NAME: usize = 240;

/// Where a model's server is, and the variable of its key.
#[derive(Debug)]
pub struct ModelServer {
    /// The address.
    pub base: Url,
    /// What the address comes from: a variable, or a default.
    pub origin: &'static str,
    /// The variable that holds the key.
    pub key_variable: Option<&'static str>,
}

/// A character file that has yet to be written.
#[derive(Debug)]
pub struct NewAgent {
    /// The agent that the file defines.
    pub agent: Agent,
    /// The file's text.
    pub text: String,
}

/// Parses the address of a server, which an argument of this name gives.
///
/// # Errors
/// It is not an address, or has user information in it.
pub fn parse_address(argument: &str, text: &str) -> Result<Url, String> {
    address::parse(argument, text.trim())
}

/// Returns an address as messages show it: without user information and query.
#[must_use]
pub fn shown(address: &Url) -> String {
    client::address::without_secrets(address)
}

/// Returns an address as a character file has it.
#[must_use]
pub fn written(address: &Url) -> &str {
    let text = address.as_str();
    if address.query().is_some() {
        return text;
    }
    text.trim_end_matches('/')
}

impl ModelServer {
    /// Returns the server that `ElizaOS`'s variables name, else Ollama's usual address on this
    /// machine.
    ///
    /// # Errors
    /// The address in a variable is wrong.
    pub fn from_variables(variables: &Variables) -> Result<Self, String> {
        let Some(named) = VariableModel::find(variables) else {
            return Ok(Self {
                base: address::parse("the default address", OLLAMA)?,
                origin: "the default, Ollama on this machine",
                key_variable: None,
            });
        };
        let variable = named.provider.address_variable();
        let key_variable = named.provider.key_variable();
        let is_set = variables.get(variable).is_some();
        Ok(Self {
            base: address::parse(variable, &named.base)?,
            origin: if is_set {
                variable
            } else {
                key_variable.unwrap_or(variable)
            },
            key_variable: key_variable.filter(|_| named.key.is_some()),
        })
    }

    /// Returns the server at an address. The key in `OPENAI_API_KEY` is for this server if the
    /// variables name the same host, so that no other host receives it.
    #[must_use]
    pub fn at(base: Url, variables: &Variables) -> Self {
        let named = Provider::OpenAi.model(variables);
        let owner = named
            .as_ref()
            .and_then(|named| Url::parse(&named.base).ok());
        let is_owner = owner.is_some_and(|owner| owner.origin() == base.origin());
        let has_key = named.is_some_and(|named| named.key.is_some());
        Self {
            base,
            origin: "--base-url",
            key_variable: Provider::OpenAi
                .key_variable()
                .filter(|_| is_owner && has_key),
        }
    }
}

/// Returns the key in a variable, as it is sent.
///
/// # Errors
/// The variable is not set, or no header can carry its value.
pub fn key(variable: &str, variables: &Variables) -> Result<SecretString, String> {
    // It may be the key itself, which must not appear in a message.
    if variable.is_empty() || !is_variable(variable) {
        return Err(
            "invalid --api-key-env: expected the name of a variable in capital letters, not a key"
                .into(),
        );
    }
    let Some(key) = variables.get(variable) else {
        return Err(format!(
            "the variable {variable} is not set; set it to the key"
        ));
    };
    let key = key.expose_secret().trim();
    if HeaderValue::from_str(key).is_err() {
        return Err(format!(
            "the variable {variable} holds a character that no HTTP header can carry; expected \
             visible ASCII"
        ));
    }
    Ok(key.into())
}

/// Returns the name of the character file of an agent: its name in lower case, with a hyphen for
/// each character that is not a letter or digit.
///
/// # Errors
/// No file or agent can have the name.
pub fn file_name(name: &str) -> Result<String, String> {
    if name.chars().count() > MAX_NAME {
        return Err(format!(
            "the name is too long; expected at most {MAX_NAME} characters"
        ));
    }
    if name.chars().any(char::is_control) {
        return Err("the name has a control character; expected one line of text".into());
    }
    if !name.chars().any(char::is_alphanumeric) {
        return Err("the name has no letter or digit; expected a name such as Ada".into());
    }
    let lower = name.trim().to_lowercase();
    let stem = lower.replace(|c: char| !c.is_alphanumeric(), "-");
    if stem.len() > MAX_FILE_NAME {
        return Err("the name of the file would be too long; choose a shorter name".into());
    }
    Ok(format!("{stem}.json"))
}

/// Returns the character file of the agent that a name stands for, if there is one. Files that
/// cannot be read are skipped: the start reports them.
///
/// # Errors
/// The directory cannot be read.
pub fn file_of_name(name: &str, directory: &Path) -> Result<Option<PathBuf>, RegistryError> {
    let id = AgentId(derive_uuid(name.trim()));
    let files = character_files(directory)?.into_iter();
    let mut files = files.filter(|path| read(path).is_ok_and(|character| character.id == id));
    Ok(files.next())
}

impl NewAgent {
    /// Creates a character file with this name and these fields of `settings.backend`, which will
    /// be at this path.
    ///
    /// # Errors
    /// The fields are not valid for the backend.
    pub fn new(
        name: &str,
        backend: Map<String, Value>,
        path: &Path,
        now: Timestamp,
        context: &BackendContext,
    ) -> Result<Self, CharacterError> {
        let name = name.trim();
        let needs_prompt = backend.get("type").is_some_and(|kind| kind == "openai");
        let mut file = Map::new();
        file.insert("name".into(), name.into());
        if needs_prompt {
            let system = format!("You are {name}, a helpful assistant.");
            file.insert("system".into(), system.into());
        }
        let settings = Map::from_iter([("backend".to_owned(), Value::Object(backend))]);
        file.insert("settings".into(), Value::Object(settings));
        let text = format!("{:#}\n", Value::Object(file));
        let character = Character::parse(path, &text, now)?;
        let agent = Agent::new(character, context)?;
        Ok(Self { agent, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &'static [(&str, &str)]) -> Variables {
        Variables::new(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn a_file_has_the_name_of_its_agent_in_plain_letters() {
        for (name, file) in [
            ("Ollie", "ollie.json"),
            ("Dr. Who 2", "dr--who-2.json"),
            (" Zoë ", "zoë.json"),
            ("../x", "---x.json"),
            ("日本", "日本.json"),
        ] {
            assert_eq!(file_name(name).unwrap(), file);
        }
        for (name, reason) in [
            ("", "no letter or digit"),
            ("  ", "no letter or digit"),
            ("..", "no letter or digit"),
            ("a\nb", "control character"),
            (&"a".repeat(101), "too long; expected at most 100"),
            (&"日".repeat(100), "choose a shorter name"),
        ] {
            let error = file_name(name).unwrap_err();
            assert!(error.contains(reason), "{name:?}: {error}");
        }
    }

    #[test]
    fn the_server_is_that_of_the_variables_or_ollamas() {
        for (set, base, origin, key) in [
            (&[][..], OLLAMA, "the default, Ollama on this machine", None),
            (
                &[("OLLAMA_API_ENDPOINT", "http://h:1/api")],
                "http://h:1/v1",
                "OLLAMA_API_ENDPOINT",
                None,
            ),
            (
                &[
                    ("OPENAI_API_KEY", "k"),
                    ("OLLAMA_API_ENDPOINT", "http://h:1"),
                ],
                "https://api.openai.com/v1",
                "OPENAI_API_KEY",
                Some("OPENAI_API_KEY"),
            ),
            (
                &[("OPENAI_BASE_URL", "http://h/v1")],
                "http://h/v1",
                "OPENAI_BASE_URL",
                None,
            ),
        ] {
            let server = ModelServer::from_variables(&variables(set)).unwrap();
            let found = (server.base.as_str(), server.origin, server.key_variable);
            assert_eq!(found, (base, origin, key));
        }
        let wrong = variables(&[("OLLAMA_API_ENDPOINT", "localhost:11434")]);
        let error = ModelServer::from_variables(&wrong).unwrap_err();
        assert!(error.contains("OLLAMA_API_ENDPOINT must be"), "{error}");
    }

    #[test]
    fn a_key_is_not_shown_to_another_host() {
        let set = variables(&[("OPENAI_API_KEY", "k")]);
        for (base, key) in [
            ("https://api.openai.com/v1", Some("OPENAI_API_KEY")),
            ("https://example.org/v1", None),
            ("http://api.openai.com/v1", None),
        ] {
            let server = ModelServer::at(Url::parse(base).unwrap(), &set);
            assert_eq!(server.key_variable, key, "{base}");
        }
    }
}
