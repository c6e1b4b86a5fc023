//! Which agents there are, and who answers for them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use reqwest::Client;
use tokio::sync::Semaphore;

use super::backend::Backend;
use super::backends::eliza::backend::Eliza;
use super::backends::elizaos::{self, ElizaOs};
use super::backends::external::External;
use super::backends::openai::{self, OpenAi};
use super::backends::webhook::{self, Webhook};
use super::character::{Character, CharacterError};
use super::client::http_client;
use super::settings::SettingsFault;
use super::variables::Variables;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// Makes a backend of what a character's file says.
type Make = fn(&Character, &BackendContext) -> Result<Box<dyn Backend>, SettingsFault>;

/// The backends by their names in `settings.backend.type`, with the fields of their own.
const BACKENDS: [(&str, &[&str], Make); 5] = [
    ("eliza", &[], |_, _| Ok(Box::new(Eliza))),
    ("openai", openai::FIELDS, OpenAi::from_settings),
    ("webhook", webhook::FIELDS, Webhook::from_settings),
    ("elizaos", elizaos::FIELDS, ElizaOs::from_settings),
    ("external", &[], |_, _| Ok(Box::new(External))),
];

/// What backends are made with.
#[derive(Debug, Clone)]
pub struct BackendContext {
    pub(super) variables: Variables,
    pub(super) client: Client,
}

impl BackendContext {
    /// Tools that find their secrets in these variables.
    ///
    /// # Errors
    /// There can be no HTTP client on this machine.
    pub fn new(variables: Variables) -> Result<Self, RegistryError> {
        let client =
            http_client::client().map_err(|error| RegistryError::Client(error.to_string()))?;
        Ok(Self { variables, client })
    }
}

/// An agent that can be asked.
#[derive(Debug)]
pub struct Agent {
    /// Who it is.
    pub character: Character,
    /// Who answers for it.
    pub backend: Box<dyn Backend>,
    /// A place for each turn that it runs at once.
    pub places: Arc<Semaphore>,
    /// How many of them there are in all.
    concurrency: usize,
}

/// The agents, the built-in one among them.
#[derive(Debug)]
pub struct Registry {
    agents: HashMap<AgentId, Arc<Agent>>,
    /// By name, the built-in agent or its replacement first.
    order: Vec<AgentId>,
}

/// Why the agents cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file is broken.
    #[error(transparent)]
    Character(#[from] CharacterError),
    /// A file or the folder cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A link leads nowhere.
    #[error(
        "{} is a link to a file that is not there; mend the link, or take it away",
        .0.display()
    )]
    Dangling(PathBuf),
    /// There can be no HTTP client.
    #[error("other servers cannot be reached: {0}")]
    Client(String),
    /// Two files are of one agent.
    #[error(
        "{} and {} both have the agent id {id}; give one of them another name or id",
        first.display(),
        second.display()
    )]
    Twice {
        /// The id.
        id: AgentId,
        /// A file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

impl Agent {
    /// An agent with the backend that its character names.
    ///
    /// # Errors
    /// There is no such backend, or its settings are wrong.
    pub fn new(character: Character, tools: &BackendContext) -> Result<Self, CharacterError> {
        match backend(&character, tools) {
            Ok(backend) => Ok(Self::with_backend(character, backend)),
            Err(fault) => Err(character.fault(fault)),
        }
    }

    /// An agent with a backend of its own.
    #[must_use]
    pub fn with_backend(character: Character, backend: Box<dyn Backend>) -> Self {
        let concurrency = character
            .backend
            .max_concurrency()
            .unwrap_or_else(|| backend.concurrency())
            .min(Semaphore::MAX_PERMITS);
        Self {
            character,
            backend,
            places: Arc::new(Semaphore::new(concurrency)),
            concurrency,
        }
    }

    /// Takes over the places of an earlier agent that has as many: turns that still run count
    /// among them.
    fn keep_places(&mut self, earlier: &Self) {
        if self.concurrency == earlier.concurrency {
            self.places = Arc::clone(&earlier.places);
        }
    }
}

/// Who answers for a character. One whose file does not say is answered for by the model that
/// `ElizaOS`'s variables name, or else by the rule engine.
fn backend(
    character: &Character,
    tools: &BackendContext,
) -> Result<Box<dyn Backend>, SettingsFault> {
    let Some(kind) = &character.backend.kind else {
        let model = OpenAi::from_variables(character, tools)?;
        return Ok(model.unwrap_or_else(|| Box::new(Eliza)));
    };
    let config = &character.backend;
    let Some((_, fields, make)) = BACKENDS.iter().find(|(name, _, _)| name == kind) else {
        let names = BACKENDS.map(|(name, _, _)| name).join(", ");
        let reason = format!("settings.backend.type is {kind:?}; allowed is {names}");
        return Err(config.fault_in("type", reason));
    };
    config.allow(fields)?;
    make(character, tools)
}

/// The agents as they are now: their files may be read again while the server runs.
#[derive(Debug)]
pub struct Agents {
    current: RwLock<Arc<Registry>>,
}

impl Agents {
    /// These agents, until others take their place.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            current: RwLock::new(Arc::new(registry)),
        }
    }

    /// The agents as they are now.
    #[must_use]
    pub fn now(&self) -> Arc<Registry> {
        // No code panics with the lock held.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// The agent of an id.
    #[must_use]
    pub fn get(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.now().get(id)
    }

    /// Puts others in their place. An agent that was there before keeps its places.
    pub fn replace(&self, mut registry: Registry) {
        let before = self.now();
        for (id, agent) in &mut registry.agents {
            if let (Some(earlier), Some(agent)) = (before.agents.get(id), Arc::get_mut(agent)) {
                agent.keep_places(earlier);
            }
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(registry);
    }
}

impl Registry {
    /// Reads the character files of a folder (`*.json`, neither hidden ones nor those of folders in
    /// it). The folder may be missing.
    ///
    /// # Errors
    /// A file is broken or unreadable, a link leads nowhere, or two files are of one agent.
    pub fn load(
        folder: &Path,
        started_at: Timestamp,
        tools: &BackendContext,
    ) -> Result<Self, RegistryError> {
        let mut agents = vec![Agent::new(Character::built_in(started_at)?, tools)?];
        for path in character_files(folder)? {
            let character = read(&path)?;
            let earlier = agents
                .iter()
                .position(|agent| agent.character.id == character.id);
            let agent = Agent::new(character, tools)?;
            match earlier.map(|index| (index, agents[index].character.file.clone())) {
                None => agents.push(agent),
                Some((index, None)) => agents[index] = agent,
                Some((_, Some(first))) => {
                    let id = agent.character.id;
                    return Err(RegistryError::Twice {
                        id,
                        first,
                        second: path,
                    });
                }
            }
        }
        agents[1..].sort_by(|a, b| a.character.name.cmp(&b.character.name));
        Ok(Self::new(agents))
    }

    /// These agents, in this order.
    #[must_use]
    pub fn new(agents: Vec<Agent>) -> Self {
        let order = agents.iter().map(|agent| agent.character.id).collect();
        let agents = agents
            .into_iter()
            .map(|agent| (agent.character.id, Arc::new(agent)))
            .collect();
        Self { agents, order }
    }

    /// Adds an agent, or replaces the one of its id.
    pub fn add(&mut self, agent: Arc<Agent>) {
        let id = agent.character.id;
        if self.agents.insert(id, agent).is_none() {
            self.order.push(id);
        }
    }

    /// The agent of an id.
    #[must_use]
    pub fn get(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.agents.get(&id).cloned()
    }

    /// All agents, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.order
            .iter()
            .filter_map(|id| self.agents.get(id))
            .map(AsRef::as_ref)
    }
}

fn character_files(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let fails = |error| RegistryError::Io {
        path: folder.to_owned(),
        error,
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fails(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(fails)?.path();
        if is_named_as_one(&path) && is_file(&path)? {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file has the name of a character. Hidden ones are an editor's, or hold what a macOS
/// has to say of the file beside them.
fn is_named_as_one(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && path.extension().is_some_and(|it| it == "json")
}

/// Whether there is a file, maybe at the other end of a link. An agent whose link leads nowhere
/// would be missing without a word.
fn is_file(path: &Path) -> Result<bool, RegistryError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(RegistryError::Io {
            path: path.to_owned(),
            error,
        }),
        Err(_) if path.is_symlink() => Err(RegistryError::Dangling(path.to_owned())),
        // It was taken away just now.
        Err(_) => Ok(false),
    }
}

fn read(path: &Path) -> Result<Character, RegistryError> {
    let fails = |error| RegistryError::Io {
        path: path.to_owned(),
        error,
    };
    let text = fs::read_to_string(path).map_err(fails)?;
    let modified = fs::metadata(path)
        .and_then(|data| data.modified())
        .map_err(fails)?;
    let modified_at = chrono::DateTime::<chrono::Utc>::from(modified).timestamp_millis();
    Ok(Character::parse(path, &text, Timestamp(modified_at))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::character::ELIZA_ID;

    fn tools() -> BackendContext {
        BackendContext::new(Variables::default()).unwrap()
    }

    #[test]
    fn a_file_replaces_the_built_in_agent_of_its_id() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("a.json"),
            r#"{"name":"Eliza","bio":"mine"}"#,
        )
        .unwrap();
        fs::write(folder.path().join("b.json"), r#"{"name":"Ada"}"#).unwrap();
        fs::write(folder.path().join("notes.txt"), "not an agent").unwrap();
        fs::write(folder.path().join(".a.json"), "hidden").unwrap();
        fs::write(folder.path().join("._a.json"), [0, 5, 22, 7]).unwrap();
        fs::create_dir(folder.path().join("examples.json")).unwrap();
        let registry = Registry::load(folder.path(), Timestamp(0), &tools()).unwrap();
        let names: Vec<_> = registry
            .iter()
            .map(|agent| agent.character.name.as_str())
            .collect();
        assert_eq!(names, ["Eliza", "Ada"]);
        let eliza = registry.get(AgentId(ELIZA_ID)).unwrap();
        assert_eq!(eliza.character.bio_line(), "mine");
    }

    #[test]
    fn two_files_of_one_id_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), r#"{"name":"Ada"}"#).unwrap();
        fs::write(folder.path().join("b.json"), r#"{"name":"Ada"}"#).unwrap();
        let error = Registry::load(folder.path(), Timestamp(0), &tools())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.json and ") && error.contains("b.json both have"),
            "{error}"
        );
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_of_and_another_followed() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("ada.character");
        fs::write(&elsewhere, r#"{"name":"Ada"}"#).unwrap();
        symlink(&elsewhere, folder.path().join("ada.json")).unwrap();
        let load = || Registry::load(folder.path(), Timestamp(0), &tools());
        assert_eq!(load().unwrap().iter().count(), 2);
        fs::remove_file(elsewhere).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains("ada.json is a link to a file"), "{error}");
    }

    #[test]
    fn without_a_folder_there_is_the_built_in_agent() {
        let registry =
            Registry::load(Path::new("/nonexistent/agents"), Timestamp(7), &tools()).unwrap();
        assert_eq!(registry.iter().count(), 1);
    }
}
