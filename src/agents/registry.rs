//! Which agents there are.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::backend::{Backend, Eliza};
use super::character::{Character, CharacterError};
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

/// An agent that can be asked.
#[derive(Debug)]
pub struct Agent {
    /// Who it is.
    pub character: Character,
    /// Who answers for it.
    pub backend: Box<dyn Backend>,
    /// A place for each turn that it runs at once.
    pub places: Arc<Semaphore>,
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
    #[must_use]
    pub fn new(character: Character) -> Self {
        Self::with_backend(character, Box::new(Eliza))
    }

    /// An agent with a backend of its own.
    #[must_use]
    pub fn with_backend(character: Character, backend: Box<dyn Backend>) -> Self {
        let places = Arc::new(Semaphore::new(
            character
                .backend
                .max_concurrency()
                .min(Semaphore::MAX_PERMITS),
        ));
        Self {
            character,
            backend,
            places,
        }
    }
}

impl Registry {
    /// Reads the character files of a folder (`*.json`, not those of folders in it). The folder
    /// may be missing.
    ///
    /// # Errors
    /// A file is broken or unreadable, or two are of one agent.
    pub fn load(folder: &Path, started_at: Timestamp) -> Result<Self, RegistryError> {
        let mut agents = vec![Agent::new(Character::built_in(started_at)?)];
        for path in character_files(folder)? {
            let character = read(&path)?;
            let earlier = agents
                .iter()
                .position(|agent| agent.character.id == character.id);
            let agent = Agent::new(character);
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
    pub fn add(&mut self, agent: Agent) {
        let id = agent.character.id;
        if self.agents.insert(id, Arc::new(agent)).is_none() {
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
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
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
        fs::create_dir(folder.path().join("examples.json")).unwrap();
        let registry = Registry::load(folder.path(), Timestamp(0)).unwrap();
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
        let error = Registry::load(folder.path(), Timestamp(0))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a.json and ") && error.contains("b.json both have"),
            "{error}"
        );
    }

    #[test]
    fn without_a_folder_there_is_the_built_in_agent() {
        let registry = Registry::load(Path::new("/nonexistent/agents"), Timestamp(7)).unwrap();
        assert_eq!(registry.iter().count(), 1);
    }
}
