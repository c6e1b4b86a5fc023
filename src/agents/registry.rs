//! The agents by their ids, each with its backend.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::backend::Backend;
pub use super::backend_context::{BackendContext, ClientError};
use super::backends::eliza::backend::Eliza;
use super::backends::elizaos::{self, ElizaOs};
use super::backends::external::{self, External};
use super::backends::openai::{self, OpenAi};
use super::backends::webhook::{self, Webhook};
use super::character::{Character, CharacterError};
use super::settings::SettingsError;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// Constructs a backend from the settings of a character.
type Constructor = fn(&Character, &BackendContext) -> Result<Box<dyn Backend>, SettingsError>;

/// The backends by their names in `settings.backend.type`, with the names of their own fields.
const BACKENDS: [(&str, &[&str], Constructor); 5] = [
    ("eliza", &[], |_, _| Ok(Box::new(Eliza))),
    ("openai", openai::FIELDS, OpenAi::from_settings),
    ("webhook", webhook::FIELDS, Webhook::from_settings),
    ("elizaos", elizaos::FIELDS, ElizaOs::from_settings),
    ("external", external::FIELDS, External::from_settings),
];

/// A character with its backend.
#[derive(Debug)]
pub struct Agent {
    /// The character.
    pub character: Character,
    /// The backend that replies for it.
    pub backend: Box<dyn Backend>,
    /// A permit for each turn that runs at the same time.
    pub(super) slots: Arc<Semaphore>,
    /// The number of slots.
    concurrency: usize,
}

/// All agents.
#[derive(Debug)]
pub struct Registry {
    agents: HashMap<AgentId, Arc<Agent>>,
    /// By name, the built-in agent or its replacement first.
    order: Vec<AgentId>,
}

/// The agents cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A character file is invalid.
    #[error(transparent)]
    Character(#[from] CharacterError),
    /// A file or the directory cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The address that a variable holds is invalid.
    #[error("{0}")]
    Variable(String),
    /// A symbolic link points to a missing file.
    #[error("{} is a link to a missing file; fix or remove the link", .0.display())]
    Dangling(PathBuf),
    /// Two files have the same agent id.
    #[error(
        "{} and {} both have the agent id {id}; give one of them another name or id",
        first.display(),
        second.display()
    )]
    Duplicate {
        /// The id.
        id: AgentId,
        /// The file that was read first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
}

impl Agent {
    /// Returns an agent with the backend that its character names.
    ///
    /// # Errors
    /// The backend is unknown, or its settings are invalid.
    pub fn new(character: Character, context: &BackendContext) -> Result<Self, CharacterError> {
        match backend(&character, context) {
            Ok(backend) => Ok(Self::with_backend(character, backend)),
            Err(error) => Err(character.error(error)),
        }
    }

    /// Returns an agent with this backend, whatever its character names.
    #[must_use]
    pub fn with_backend(character: Character, backend: Box<dyn Backend>) -> Self {
        let wanted = character.backend.max_concurrency;
        let concurrency = wanted
            .unwrap_or_else(|| backend.concurrency())
            .min(Semaphore::MAX_PERMITS);
        Self {
            character,
            backend,
            slots: Arc::new(Semaphore::new(concurrency)),
            concurrency,
        }
    }
}

/// Returns the backend of a character. Without `settings.backend`, that is the model that
/// `ElizaOS`'s variables name, or else the rule engine.
fn backend(
    character: &Character,
    context: &BackendContext,
) -> Result<Box<dyn Backend>, SettingsError> {
    let config = &character.backend;
    let Some(kind) = &config.kind else {
        let model = OpenAi::from_variables(character, context)?;
        return Ok(model.unwrap_or_else(|| Box::new(Eliza)));
    };
    let Some((_, fields, construct)) = BACKENDS.iter().find(|(name, _, _)| name == kind) else {
        let names = BACKENDS.map(|(name, _, _)| name).join(", ");
        let reason =
            format!("invalid settings.backend.type: expected one of {names}, found {kind:?}");
        return Err(config.error_in("type", reason));
    };
    config.refuse_unknown(fields)?;
    construct(character, context)
}

/// Returns the built-in agent. If it is the only agent, the model that `ElizaOS`'s variables name
/// replies for it.
fn built_in(
    is_only_agent: bool,
    started_at: Timestamp,
    context: &BackendContext,
) -> Result<Agent, RegistryError> {
    if is_only_agent {
        let character = Character::built_in_with_model(started_at)?;
        let model = OpenAi::from_variables(&character, context)
            .map_err(|error| RegistryError::Variable(error.reason))?;
        if let Some(model) = model {
            return Ok(Agent::with_backend(character, model));
        }
    }
    Ok(Agent::new(Character::built_in(started_at)?, context)?)
}

/// The current agents: their files may be reloaded while the server runs.
#[derive(Debug)]
pub struct Agents(watch::Sender<Arc<Registry>>);

impl Agents {
    /// Returns these agents, until [`replace`](Self::replace) is called.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self(watch::Sender::new(Arc::new(registry)))
    }

    /// Returns the current agents.
    #[must_use]
    pub fn now(&self) -> Arc<Registry> {
        Arc::clone(&self.0.borrow())
    }

    /// Returns a current agent.
    #[must_use]
    pub fn get(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.now().get(id)
    }

    /// Replaces all agents. An agent that keeps its number of slots keeps the slots: its running
    /// turns still occupy them.
    pub fn replace(&self, mut registry: Registry) {
        let before = self.now();
        for (id, agent) in &mut registry.agents {
            if let (Some(earlier), Some(agent)) = (before.agents.get(id), Arc::get_mut(agent))
                && agent.concurrency == earlier.concurrency
            {
                agent.slots = Arc::clone(&earlier.slots);
            }
        }
        self.0.send_replace(Arc::new(registry));
    }
}

impl Registry {
    /// Loads the built-in agent and the character files (`*.json`, not hidden) of a directory,
    /// which may be missing. Subdirectories are ignored.
    ///
    /// # Errors
    /// A file is invalid or unreadable, a link points to a missing file, or two files have the same
    /// agent id.
    pub fn load(
        directory: &Path,
        started_at: Timestamp,
        context: &BackendContext,
    ) -> Result<Self, RegistryError> {
        let files = character_files(directory)?;
        let mut agents = vec![built_in(files.is_empty(), started_at, context)?];
        for path in files {
            let agent = Agent::new(read(&path)?, context)?;
            let id = agent.character.id;
            match agents.iter_mut().find(|other| other.character.id == id) {
                None => agents.push(agent),
                Some(other) => match other.character.file.take() {
                    None => *other = agent,
                    Some(first) => {
                        let second = path;
                        return Err(RegistryError::Duplicate { id, first, second });
                    }
                },
            }
        }
        agents[1..].sort_by(|a, b| a.character.name.cmp(&b.character.name));
        Ok(Self::new(agents))
    }

    /// Returns these agents, in this order.
    #[must_use]
    pub fn new(agents: Vec<Agent>) -> Self {
        let order = agents.iter().map(|agent| agent.character.id).collect();
        let agents = agents
            .into_iter()
            .map(|agent| (agent.character.id, Arc::new(agent)))
            .collect();
        Self { agents, order }
    }

    /// Adds an agent, or replaces the one with its id.
    pub fn add(&mut self, agent: Arc<Agent>) {
        let id = agent.character.id;
        if self.agents.insert(id, agent).is_none() {
            self.order.push(id);
        }
    }

    /// Returns an agent.
    #[must_use]
    pub fn get(&self, id: AgentId) -> Option<Arc<Agent>> {
        self.agents.get(&id).cloned()
    }

    /// Iterates over the agents in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.order
            .iter()
            .filter_map(|id| self.agents.get(id))
            .map(AsRef::as_ref)
    }
}

pub(super) fn character_files(directory: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(directory)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error(directory))?.path();
        if is_visible_json(&path) && is_file(&path)? {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> RegistryError {
    move |error| RegistryError::Io {
        path: path.to_owned(),
        error,
    }
}

/// Hidden files belong to editors, or hold the metadata that macOS stores beside a file.
fn is_visible_json(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && path.extension().is_some_and(|it| it == "json")
}

/// Returns whether the path is a file or a link to one. A dangling link is an error: its agent
/// would be missing silently.
fn is_file(path: &Path) -> Result<bool, RegistryError> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path)(error)),
        Err(_) if path.is_symlink() => Err(RegistryError::Dangling(path.to_owned())),
        // It was removed since the directory was read.
        Err(_) => Ok(false),
    }
}

pub(super) fn read(path: &Path) -> Result<Character, RegistryError> {
    let text = fs::read_to_string(path).map_err(io_error(path))?;
    let modified = fs::metadata(path)
        .and_then(|data| data.modified())
        .map_err(io_error(path))?;
    let modified_at = chrono::DateTime::<chrono::Utc>::from(modified).timestamp_millis();
    Ok(Character::parse(path, &text, Timestamp(modified_at))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::character::ELIZA_ID;
    use crate::agents::variables::Variables;

    fn context() -> BackendContext {
        BackendContext::new(Variables::default()).unwrap()
    }

    #[test]
    fn a_file_replaces_the_built_in_agent_with_its_id() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(
            directory.path().join("a.json"),
            r#"{"name":"Eliza","bio":"mine"}"#,
        )
        .unwrap();
        fs::write(directory.path().join("b.json"), r#"{"name":"Ada"}"#).unwrap();
        fs::write(directory.path().join("notes.txt"), "not an agent").unwrap();
        fs::write(directory.path().join(".a.json"), "hidden").unwrap();
        fs::write(directory.path().join("._a.json"), [0, 5, 22, 7]).unwrap();
        fs::create_dir(directory.path().join("examples.json")).unwrap();
        let registry = Registry::load(directory.path(), Timestamp(0), &context()).unwrap();
        let names: Vec<_> = registry
            .iter()
            .map(|agent| agent.character.name.as_str())
            .collect();
        assert_eq!(names, ["Eliza", "Ada"]);
        let eliza = registry.get(AgentId(ELIZA_ID)).unwrap();
        assert_eq!(eliza.character.bio_line(), "mine");
    }

    #[test]
    fn two_files_with_the_same_id_are_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.json"), r#"{"name":"Ada"}"#).unwrap();
        fs::write(directory.path().join("b.json"), r#"{"name":"Ada"}"#).unwrap();
        let error = Registry::load(directory.path(), Timestamp(0), &context())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.json and ") && error.contains("b.json both have"),
            "{error}"
        );
    }

    #[test]
    fn links_are_followed_and_dangling_ones_refused() {
        use std::os::unix::fs::symlink;

        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("ada.character");
        fs::write(&elsewhere, r#"{"name":"Ada"}"#).unwrap();
        symlink(&elsewhere, directory.path().join("ada.json")).unwrap();
        let load = || Registry::load(directory.path(), Timestamp(0), &context());
        assert_eq!(load().unwrap().iter().count(), 2);
        fs::remove_file(elsewhere).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(
            error.contains("ada.json is a link to a missing file"),
            "{error}"
        );
    }

    #[test]
    fn a_missing_directory_leaves_the_built_in_agent() {
        let registry =
            Registry::load(Path::new("/nonexistent/agents"), Timestamp(7), &context()).unwrap();
        assert_eq!(registry.iter().count(), 1);
    }
}
