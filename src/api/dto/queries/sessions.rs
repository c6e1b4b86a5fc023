//! A list of sessions.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::parameter::invalid;
use crate::api::dto::requests::fields;
use crate::app::SessionFilter;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::json::Field;

/// The size of a page when only a cursor is given.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionListQuery {
    /// The size of the page; without this and `cursor`, all sessions are returned
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    pub(super) limit: Option<String>,
    /// The `nextCursor` of the previous page
    #[param(format = Uuid)]
    pub(super) cursor: Option<String>,
    /// Only sessions of this agent
    #[param(format = Uuid)]
    pub(super) agent_id: Option<String>,
    /// Only sessions of this user
    #[param(format = Uuid)]
    pub(super) user_id: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SessionPage {
    pub(crate) filter: SessionFilter,
    /// The last session of the previous page.
    pub(crate) below: Option<SessionId>,
    /// The size of the page; `None` for all sessions.
    pub(crate) limit: Option<usize>,
}

impl SessionListQuery {
    /// Parses the parameters. Fails with the first invalid one.
    pub(crate) fn validate(&self) -> Result<SessionPage, ValidationError> {
        let filter = SessionFilter {
            agent: uuid("agentId", self.agent_id.as_deref())?.map(AgentId),
            user: uuid("userId", self.user_id.as_deref())?.map(UserId),
        };
        let below = self.cursor.as_deref().map(cursor).transpose()?;
        let limit = self.limit.as_deref().map(limit).transpose()?;
        Ok(SessionPage {
            filter,
            below,
            limit: limit.or(below.map(|_| DEFAULT_LIMIT)),
        })
    }
}

fn uuid(field: &'static str, text: Option<&str>) -> Result<Option<Uuid>, ValidationError> {
    let id = text.map(|text| fields::uuid(field, Field::Value(text.to_owned())));
    id.transpose()
}

fn cursor(text: &str) -> Result<SessionId, ValidationError> {
    let id = SessionId::parse(text);
    id.ok_or_else(|| invalid("cursor", text, "the nextCursor of an earlier page"))
}

fn limit(text: &str) -> Result<usize, ValidationError> {
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let expected = || format!("an integer from 1 to {MAX_LIMIT}");
    limit.ok_or_else(|| invalid("limit", text, &expected()))
}
