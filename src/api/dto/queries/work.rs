//! A page of an agent's work.

use serde::Deserialize;
use utoipa::IntoParams;

use super::parameter::invalid;
use crate::app::error::ValidationError;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::domain::waiting::WaitingPosition;

/// The largest page, which is also the default.
const MAX_LIMIT: usize = 100;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct AgentTurnsQuery {
    /// The size of the page; 100 if it is absent
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100)]
    pub(super) limit: Option<String>,
    /// The `nextCursor` of the previous page
    #[param(pattern = "^-?[0-9]{1,18}[.][0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
    pub(super) cursor: Option<String>,
}

impl AgentTurnsQuery {
    /// Returns the position after which the page begins, and its size. Fails with the first invalid
    /// parameter.
    pub(crate) fn validate(&self) -> Result<(Option<WaitingPosition>, usize), ValidationError> {
        let after = self.cursor.as_deref().map(position).transpose()?;
        let limit = self.limit.as_deref().map(limit).transpose()?;
        Ok((after, limit.unwrap_or(MAX_LIMIT)))
    }
}

/// Returns the cursor of the page after a position.
pub(crate) fn work_cursor(position: WaitingPosition) -> String {
    format!("{}.{}", position.message_at.0, position.session_id)
}

fn position(text: &str) -> Result<WaitingPosition, ValidationError> {
    let parsed = text.split_once('.').and_then(|(at, session)| {
        Some(WaitingPosition {
            message_at: Timestamp(at.parse().ok()?),
            session_id: SessionId::parse(session)?,
        })
    });
    parsed.ok_or_else(|| invalid("cursor", text, "the nextCursor of an earlier page"))
}

fn limit(text: &str) -> Result<usize, ValidationError> {
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| invalid("limit", text, "an integer from 1 to 100"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let after = WaitingPosition {
            message_at: Timestamp(-5),
            session_id: SessionId::from(7),
        };
        let query = AgentTurnsQuery {
            limit: Some("1".into()),
            cursor: Some(work_cursor(after)),
        };
        assert_eq!(query.validate(), Ok((Some(after), 1)));
    }
}
