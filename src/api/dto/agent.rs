//! Agents.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::Character;

/// An agent in the list.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AgentSummary<'a> {
    id: Uuid,
    name: &'a str,
    character_name: &'a str,
    /// Its first line.
    bio: &'a str,
    status: &'static str,
    enabled: bool,
    /// In milliseconds since the epoch.
    created_at: i64,
    /// In milliseconds since the epoch.
    updated_at: i64,
}

impl<'a> From<&'a Character> for AgentSummary<'a> {
    fn from(character: &'a Character) -> Self {
        Self {
            id: character.id.0,
            name: &character.name,
            character_name: &character.name,
            bio: character.bio_line(),
            status: "active",
            enabled: true,
            created_at: character.modified_at.0,
            updated_at: character.modified_at.0,
        }
    }
}

/// The agents.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct AgentListAnswer<'a> {
    success: bool,
    data: AgentList<'a>,
}

/// The agents.
#[derive(ToSchema, Serialize)]
struct AgentList<'a> {
    agents: Vec<AgentSummary<'a>>,
}

impl<'a> AgentListAnswer<'a> {
    pub(in crate::api) fn new(characters: impl Iterator<Item = &'a Character>) -> Self {
        Self {
            success: true,
            data: AgentList {
                agents: characters.map(AgentSummary::from).collect(),
            },
        }
    }
}

/// An agent.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct AgentAnswer<'a> {
    success: bool,
    data: AgentDetail<'a>,
}

/// An agent, with the public parts of its file.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentDetail<'a> {
    id: Uuid,
    name: &'a str,
    character_name: &'a str,
    /// As in the file: a text or a list of lines.
    #[schema(required = false)]
    bio: Value,
    status: &'static str,
    enabled: bool,
    /// In milliseconds since the epoch.
    created_at: i64,
    /// In milliseconds since the epoch.
    updated_at: i64,
    /// As in the file, like all fields below.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    username: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    system: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    adjectives: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    topics: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    style: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    message_examples: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    post_examples: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    plugins: Option<&'a Value>,
}

impl<'a> From<&'a Character> for AgentAnswer<'a> {
    fn from(character: &'a Character) -> Self {
        let profile = &character.profile;
        let bio = profile.bio.clone();
        Self {
            success: true,
            data: AgentDetail {
                id: character.id.0,
                name: &character.name,
                character_name: &character.name,
                bio: bio.unwrap_or_else(|| character.bio_line().into()),
                status: "active",
                enabled: true,
                created_at: character.modified_at.0,
                updated_at: character.modified_at.0,
                username: profile.username.as_ref(),
                system: profile.system.as_ref(),
                adjectives: profile.adjectives.as_ref(),
                topics: profile.topics.as_ref(),
                style: profile.style.as_ref(),
                message_examples: profile.message_examples.as_ref(),
                post_examples: profile.post_examples.as_ref(),
                plugins: profile.plugins.as_ref(),
            },
        }
    }
}
