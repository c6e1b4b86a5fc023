//! Who talks in a channel.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use uuid::Uuid;

use super::super::output::one_line;
use super::summary::cut;
use super::wire::ServerAgent;
use crate::agents::new_agent::shown;
use crate::domain::derived_id::derive_uuid;
use crate::domain::id::{AgentId, UserId, parse_uuid};

/// The agent and the user of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parties {
    pub(super) agent: AgentId,
    pub(super) user: UserId,
}

/// Why a session cannot have the agents and users of a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("it has no agent")]
    NoAgent,
    #[error("it has {0} agents")]
    KnownAgents(usize),
    /// With its name and id, and what to do about it.
    #[error("its agent {agent} is not an agent of this data directory; {advice}")]
    UnknownAgent { agent: String, advice: String },
    #[error("it has no user")]
    NoUser,
    #[error("it has {0} users")]
    Users(usize),
}

impl Mismatch {
    /// Whether it remains one if more ids are found in the channel.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::NoAgent | Self::NoUser)
    }
}

/// The agents of the server, and those of this data directory.
#[derive(Debug)]
pub(super) struct KnownAgents {
    /// The names of the server's agents.
    theirs: BTreeMap<Uuid, String>,
    ours: BTreeSet<Uuid>,
    /// The address of the server, and the variable of its key, as arguments.
    access: String,
}

impl KnownAgents {
    pub(super) fn new(
        theirs: Vec<ServerAgent>,
        ours: impl Iterator<Item = AgentId>,
        base: &Url,
        key_variable: Option<&str>,
    ) -> Self {
        let theirs = theirs.into_iter().filter_map(|agent| {
            let name = agent.name.given().ok().flatten();
            Some((parse_uuid(&agent.id)?, name.unwrap_or_default()))
        });
        Self {
            theirs: theirs.collect(),
            ours: ours.map(|id| id.0).collect(),
            access: match key_variable {
                None => shown(base),
                Some(variable) => format!("{} --api-key-env {variable}", shown(base)),
            },
        }
    }

    /// Whether an id is an agent's.
    pub(super) fn contains(&self, id: Uuid) -> bool {
        self.ours.contains(&id) || self.theirs.contains_key(&id)
    }

    /// Returns the agent and the user among these ids, or why a session cannot have them.
    /// `deleted` are agents that the server no longer lists.
    pub(super) fn parties(
        &self,
        ids: &BTreeSet<Uuid>,
        deleted: &BTreeSet<Uuid>,
    ) -> Result<Parties, Mismatch> {
        let is_agent = |id: &Uuid| self.contains(*id) || deleted.contains(id);
        let (agents, users): (Vec<Uuid>, Vec<Uuid>) = ids.iter().copied().partition(is_agent);
        let agent = match *agents {
            [] => return Err(Mismatch::NoAgent),
            [agent] => agent,
            _ => return Err(Mismatch::KnownAgents(agents.len())),
        };
        if !self.ours.contains(&agent) {
            return Err(self.unknown(agent));
        }
        match *users {
            [] => Err(Mismatch::NoUser),
            [user] => Ok(Parties {
                agent: AgentId(agent),
                user: UserId(user),
            }),
            _ => Err(Mismatch::Users(users.len())),
        }
    }

    fn unknown(&self, id: Uuid) -> Mismatch {
        let name = self.theirs.get(&id).map_or("", String::as_str);
        let agent = match name {
            "" => id.to_string(),
            name => format!("{} ({id})", cut(&one_line(name))),
        };
        let argument = argument(name);
        let advice = if self.theirs.contains_key(&id) {
            let access = &self.access;
            let command =
                format!("sessiond agents new {argument} --backend elizaos --base-url {access}");
            if derive_uuid(name.trim()) == id {
                format!("`{command}` adds it")
            } else {
                format!("`{command}` adds it, if \"id\": \"{id}\" is then added to the new file")
            }
        } else {
            format!(
                "that server no longer has it. Add \"id\": \"{id}\" to the character file of the \
                 agent that is to take its place"
            )
        };
        Mismatch::UnknownAgent { agent, advice }
    }
}

/// Returns a name as an argument for a shell; a placeholder if it cannot be written plainly.
fn argument(name: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || matches!(it, '-' | '_' | '.');
    let starts_well = name.starts_with(char::is_alphanumeric);
    if !starts_well || !name.chars().all(|it| is_plain(it) || it == ' ') || cut(name) != name {
        return "NAME".to_owned();
    }
    if name.contains(' ') {
        return format!("'{name}'");
    }
    name.to_owned()
}
