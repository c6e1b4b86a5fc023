//! A list of sessions.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::parameter::invalid;
use crate::api::dto::requests::fields;
use crate::api::dto::schemas;
use crate::api::dto::search_cursor::{SessionConditions, session_position};
use crate::app::error::ValidationError;
use crate::app::{SessionFilter, SessionText, StatusFilter};
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::number;
use crate::json::Field;

/// The size of a page without `limit`.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// The longest `q`, in Unicode characters.
const MAX_QUERY_CHARS: usize = 100;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionListQuery {
    /// The size of the page; 100 if it is absent. The list is complete if this, `cursor`, `q` and a
    /// `status` other than `active` are absent
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1000)]
    pub(super) limit: Option<String>,
    /// The `nextCursor` of the previous page; with `q`, of the same search
    pub(super) cursor: Option<String>,
    /// Only sessions of this agent
    #[param(format = Uuid)]
    pub(super) agent_id: Option<String>,
    /// Only sessions of this user
    #[param(format = Uuid)]
    pub(super) user_id: Option<String>,
    /// Only sessions with this status: `active` (the default), `expired` or `all`
    #[param(inline, value_type = Option<schemas::StatusParameter>)]
    pub(super) status: Option<String>,
    /// Only sessions with this text, in any case, in a text of their metadata, or with at least 4
    /// hex digits at the beginning or the end of their id or their user's id
    #[param(max_length = 100)]
    pub(super) q: Option<String>,
    /// What to add to each session: `lastMessage`, the beginning of its newest message
    #[param(inline, value_type = Option<schemas::IncludeParameter>)]
    pub(super) include: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct SessionPage {
    pub(crate) filter: SessionFilter,
    pub(crate) status: StatusFilter,
    pub(crate) text: Option<SessionText>,
    /// The last session of the previous page.
    pub(crate) below: Option<SessionId>,
    /// The size of the page; `None` for all sessions.
    pub(crate) limit: Option<usize>,
    /// Whether sessions are shown with their newest message.
    pub(crate) with_last_message: bool,
}

impl SessionListQuery {
    /// Parses the parameters. Fails with the first invalid one.
    pub(crate) fn validate(&self) -> Result<SessionPage, ValidationError> {
        let filter = SessionFilter {
            agent: uuid("agentId", self.agent_id.as_deref())?.map(AgentId),
            user: uuid("userId", self.user_id.as_deref())?.map(UserId),
        };
        let limit = self.limit.as_deref().map(limit).transpose()?;
        let status = status(self.status.as_deref())?;
        let text = query(self.q.as_deref())?;
        let conditions = text.as_ref().map(|text| (text, filter, status));
        let below = self.cursor.as_deref();
        let below = below.map(|it| cursor(it, conditions)).transpose()?;
        let is_paged = below.is_some() || text.is_some() || status != StatusFilter::Active;
        Ok(SessionPage {
            filter,
            status,
            text,
            below,
            limit: limit.or(is_paged.then_some(DEFAULT_LIMIT)),
            with_last_message: includes_last_message(self.include.as_deref())?,
        })
    }
}

fn uuid(field: &'static str, text: Option<&str>) -> Result<Option<Uuid>, ValidationError> {
    let id = text.map(|text| fields::uuid(field, Field::Value(text.to_owned())));
    id.transpose()
}

/// Parses the cursor of a list, or of the search with these conditions.
fn cursor(
    text: &str,
    conditions: Option<SessionConditions<'_>>,
) -> Result<SessionId, ValidationError> {
    let (id, expected) = match conditions {
        None => (
            SessionId::parse(text),
            "the nextCursor of an earlier page without q",
        ),
        Some(conditions) => (
            session_position(text, &conditions),
            "the nextCursor of an earlier page with the same q, status, agentId and userId",
        ),
    };
    id.ok_or_else(|| invalid("cursor", text, expected))
}

fn status(text: Option<&str>) -> Result<StatusFilter, ValidationError> {
    match text.unwrap_or_default() {
        "active" => Ok(StatusFilter::Active),
        "expired" => Ok(StatusFilter::Expired),
        "all" => Ok(StatusFilter::All),
        blank if number::is_blank(blank) => Ok(StatusFilter::Active),
        other => Err(invalid("status", other, "active, expired or all")),
    }
}

fn includes_last_message(text: Option<&str>) -> Result<bool, ValidationError> {
    match text.unwrap_or_default() {
        "lastMessage" => Ok(true),
        blank if number::is_blank(blank) => Ok(false),
        other => Err(invalid("include", other, "lastMessage")),
    }
}

fn query(text: Option<&str>) -> Result<Option<SessionText>, ValidationError> {
    let text = text.unwrap_or_default();
    if number::is_blank(text) {
        return Ok(None);
    }
    let expected = || format!("at most {MAX_QUERY_CHARS} characters");
    if text.chars().count() > MAX_QUERY_CHARS {
        return Err(invalid("q", text, &expected()));
    }
    Ok(Some(SessionText::new(text)))
}

fn limit(text: &str) -> Result<usize, ValidationError> {
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    let expected = || format!("an integer from 1 to {MAX_LIMIT}");
    limit.ok_or_else(|| invalid("limit", text, &expected()))
}
