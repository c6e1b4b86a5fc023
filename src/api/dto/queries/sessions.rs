//! A list of sessions.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::app::SessionFilter;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, SessionId, UserId, parse_uuid};

/// The page where a cursor alone is given.
const DEFAULT_LIMIT: usize = 100;
/// The largest page.
const MAX_LIMIT: usize = 1000;

/// Which sessions.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionListQuery {
    /// How many to a page; all where neither this nor `cursor` is given
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    pub(super) limit: Option<String>,
    /// The `nextCursor` of the page before
    #[param(format = Uuid)]
    pub(super) cursor: Option<String>,
    /// Only the sessions of this agent
    #[param(format = Uuid)]
    pub(super) agent_id: Option<String>,
    /// Only the sessions of this user
    #[param(format = Uuid)]
    pub(super) user_id: Option<String>,
}

/// The sessions that a list is to show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SessionPage {
    /// Which of all.
    pub(crate) filter: SessionFilter,
    /// The last session of the page before.
    pub(crate) below: Option<SessionId>,
    /// How many; no number for all of them.
    pub(crate) limit: Option<usize>,
}

impl SessionListQuery {
    /// Judges the parameters.
    ///
    /// # Errors
    /// The first that is wrong.
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
    let Some(text) = text else {
        return Ok(None);
    };
    let wrong = || ValidationError::Uuid {
        field,
        value: Some(text.to_owned()),
    };
    parse_uuid(text).map(Some).ok_or_else(wrong)
}

fn cursor(text: &str) -> Result<SessionId, ValidationError> {
    SessionId::parse(text).ok_or_else(|| ValidationError::Pagination {
        parameter: "cursor",
        value: text.to_owned(),
        reason: "cursor must be the nextCursor of an earlier page".into(),
    })
}

fn limit(text: &str) -> Result<usize, ValidationError> {
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| ValidationError::Pagination {
        parameter: "limit",
        value: text.to_owned(),
        reason: format!("limit must be a whole number of 1 to {MAX_LIMIT}"),
    })
}
