//! Who talks in a channel.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::output::one_line;
use super::wire::ServerAgent;
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
    /// With its name and id.
    #[error("its agent {0} is not an agent of this data directory")]
    UnknownAgent(String),
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
}

impl KnownAgents {
    pub(super) fn new(theirs: Vec<ServerAgent>, ours: impl Iterator<Item = AgentId>) -> Self {
        let theirs = theirs.into_iter().filter_map(|agent| {
            let name = agent.name.given().ok().flatten();
            Some((parse_uuid(&agent.id)?, name.unwrap_or_default()))
        });
        Self {
            theirs: theirs.collect(),
            ours: ours.map(|id| id.0).collect(),
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
            return Err(Mismatch::UnknownAgent(self.named(agent)));
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

    fn named(&self, agent: Uuid) -> String {
        match self.theirs.get(&agent) {
            Some(name) if !name.is_empty() => format!("{} ({agent})", one_line(name)),
            _ => agent.to_string(),
        }
    }
}
