//! Query strings.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

use super::error::ApiError;
use crate::app::PageRequest;
use crate::app::SessionFilter;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::number;
use crate::domain::time::Timestamp;

/// The page of messages where no limit is given.
const DEFAULT_MESSAGES: usize = 50;
/// The largest page of messages.
const MAX_MESSAGES: usize = 100;
/// The page of sessions where a cursor alone is given.
const DEFAULT_SESSIONS: usize = 100;
/// The largest page of sessions.
const MAX_SESSIONS: usize = 1000;
/// JavaScript's largest safe integer, plus one.
const MAX_EPOCH: i64 = 1 << 53;

/// The parameters of a query string, in their order.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        // Form decoding reads anything; what is left of an odd string are parameters of no name.
        Ok(Self(
            query
                .map(|Query(parameters)| parameters)
                .unwrap_or_default(),
        ))
    }
}

impl Parameters {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The page of messages that is asked for.
    pub(super) fn messages(&self) -> Result<PageRequest, ValidationError> {
        Ok(PageRequest {
            limit: message_limit(self.get("limit")),
            before: self.cursor("before", Rounding::Up)?,
            after: self.cursor("after", Rounding::Down)?,
        })
    }

    /// The session that is named, as it is named.
    pub(super) fn session(&self) -> Option<&str> {
        self.get("session")
    }

    /// The time after which a stream of events begins.
    pub(super) fn after(&self) -> Result<Option<Timestamp>, ValidationError> {
        self.cursor("after", Rounding::Down)
    }

    /// The `Last-Event-ID` of clients that cannot send headers with an event stream.
    pub(super) fn last_event_id(&self) -> Result<Option<Timestamp>, ValidationError> {
        let text = self.get("lastEventId").unwrap_or_default();
        event_id("lastEventId", text)
    }

    /// Which sessions are asked for.
    pub(super) fn filter(&self) -> Result<SessionFilter, ValidationError> {
        let wrong = |field, value: &str| ValidationError::Uuid {
            field,
            value: Some(value.to_owned()),
        };
        let agent = self
            .get("agentId")
            .map(|text| AgentId::parse(text).ok_or_else(|| wrong("agentId", text)));
        let user = self
            .get("userId")
            .map(|text| UserId::parse(text).ok_or_else(|| wrong("userId", text)));
        Ok(SessionFilter {
            agent: agent.transpose()?,
            user: user.transpose()?,
        })
    }

    /// The page of sessions that is asked for: where it begins and how many it holds; no number
    /// for all of them.
    pub(super) fn sessions(&self) -> Result<(Option<SessionId>, Option<usize>), ValidationError> {
        let cursor = self.get("cursor").map(|text| {
            SessionId::parse(text).ok_or_else(|| ValidationError::Pagination {
                parameter: "cursor",
                value: text.to_owned(),
                reason: "cursor must be the nextCursor of an earlier page".into(),
            })
        });
        let cursor = cursor.transpose()?;
        let limit = self.get("limit").map(session_limit).transpose()?;
        Ok((cursor, limit.or(cursor.map(|_| DEFAULT_SESSIONS))))
    }

    fn cursor(
        &self,
        parameter: &'static str,
        rounding: Rounding,
    ) -> Result<Option<Timestamp>, ValidationError> {
        let text = self.get(parameter).unwrap_or_default();
        if number::is_blank(text) {
            return Ok(None);
        }
        epoch(text)
            .or_else(|| rfc3339(text, rounding))
            .map(Some)
            .ok_or_else(|| ValidationError::Pagination {
                parameter,
                value: text.to_owned(),
                reason: format!(
                    "{parameter} must be an integer of epoch milliseconds or an RFC 3339 time"
                ),
            })
    }
}

/// The id of the last event that a client has, where it is not blank. Browsers send back what the
/// stream sent them, which is the time of a message.
pub(super) fn event_id(
    parameter: &'static str,
    text: &str,
) -> Result<Option<Timestamp>, ValidationError> {
    if number::is_blank(text) {
        return Ok(None);
    }
    let id = text.trim().parse().map(|at| Some(Timestamp(at)));
    id.map_err(|_| ValidationError::Pagination {
        parameter,
        value: text.to_owned(),
        reason: format!("{parameter} must be the id of an earlier event"),
    })
}

/// Messages have whole milliseconds; a bound between two of them excludes neither by mistake.
#[derive(Clone, Copy)]
enum Rounding {
    Up,
    Down,
}

fn message_limit(text: Option<&str>) -> usize {
    let text = text.unwrap_or_default();
    let number = number::from_text(text);
    if number::is_blank(text) || !number.is_finite() {
        return DEFAULT_MESSAGES;
    }
    // The value is a small whole number by then.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let limit = number.clamp(1.0, MAX_MESSAGES as f64) as usize;
    limit
}

fn session_limit(text: &str) -> Result<usize, ValidationError> {
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=MAX_SESSIONS).contains(limit));
    limit.ok_or_else(|| ValidationError::Pagination {
        parameter: "limit",
        value: text.to_owned(),
        reason: format!("limit must be a whole number of 1 to {MAX_SESSIONS}"),
    })
}

fn epoch(text: &str) -> Option<Timestamp> {
    let milliseconds: i64 = text.parse().ok()?;
    (-MAX_EPOCH..=MAX_EPOCH)
        .contains(&milliseconds)
        .then_some(Timestamp(milliseconds))
}

fn rfc3339(text: &str, rounding: Rounding) -> Option<Timestamp> {
    // A plus sign in a query string that was not encoded arrives as a space.
    let time = DateTime::parse_from_rfc3339(&text.replace(' ', "+"))
        .ok()?
        .with_timezone(&Utc);
    let at = Timestamp(time.timestamp_millis());
    let is_between = time.timestamp_subsec_nanos() % 1_000_000 != 0;
    Some(match rounding {
        Rounding::Up if is_between => at.next(),
        _ => at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        Parameters(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_message_limit_is_clamped_and_else_the_default() {
        for (text, limit) in [
            ("1", 1),
            ("100", 100),
            ("101", 100),
            ("0", 1),
            ("-7", 1),
            ("10.9", 10),
            ("1e1", 10),
            ("", 50),
            (" ", 50),
            ("ten", 50),
            ("NaN", 50),
            ("Infinity", 50),
        ] {
            let page = parameters(&[("limit", text)]).messages().unwrap();
            assert_eq!(page.limit, limit, "{text:?}");
        }
        assert_eq!(parameters(&[]).messages().unwrap().limit, 50);
    }

    #[test]
    fn a_cursor_is_epoch_milliseconds_or_a_time() {
        let before = |text| {
            parameters(&[("before", text)])
                .messages()
                .map(|page| page.before)
        };
        let after = |text| {
            parameters(&[("after", text)])
                .messages()
                .map(|page| page.after)
        };
        assert_eq!(
            before("1705314645123").unwrap(),
            Some(Timestamp(1_705_314_645_123))
        );
        assert_eq!(after("-5").unwrap(), Some(Timestamp(-5)));
        assert_eq!(
            before("2024-01-15T12:30:45.123 02:00").unwrap(),
            Some(Timestamp(1_705_314_645_123))
        );
        assert_eq!(
            before("1970-01-01T00:00:00.0001Z").unwrap(),
            Some(Timestamp(1))
        );
        assert_eq!(
            after("1970-01-01T00:00:00.0001Z").unwrap(),
            Some(Timestamp(0))
        );
        for blank in ["", " ", "\t"] {
            assert_eq!(before(blank).unwrap(), None, "{blank:?}");
            assert_eq!(after(blank).unwrap(), None, "{blank:?}");
        }
        for wrong in ["yesterday", "1.5", "9007199254740993", "2024-01-15", "1e3"] {
            assert!(before(wrong).is_err() && after(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_session_limit_out_of_bounds_is_refused() {
        for wrong in ["", "0", "1001", "-1", "ten", "1.5"] {
            assert!(
                parameters(&[("limit", wrong)]).sessions().is_err(),
                "{wrong:?}"
            );
        }
        assert_eq!(
            parameters(&[("limit", "1000")]).sessions().unwrap(),
            (None, Some(1000))
        );
        assert_eq!(parameters(&[]).sessions().unwrap(), (None, None));
        let id = "0196c7a0-0000-7000-8000-000000000001";
        assert_eq!(
            parameters(&[("cursor", id)]).sessions().unwrap().1,
            Some(100)
        );
    }
}
