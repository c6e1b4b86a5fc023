//! Points in time, and in a stream.

use chrono::{DateTime, Utc};

use crate::app::error::ValidationError;
use crate::domain::number;
use crate::domain::time::Timestamp;

/// JavaScript's largest safe integer, plus one.
const MAX_EPOCH: i64 = 1 << 53;

/// Messages have whole milliseconds; a bound between two of them excludes neither by mistake.
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Up,
    Down,
}

/// The time that a parameter names; none where it is absent or blank.
pub(super) fn time(
    parameter: &'static str,
    text: Option<&str>,
    rounding: Rounding,
) -> Result<Option<Timestamp>, ValidationError> {
    let text = text.unwrap_or_default();
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

/// The id of the last event that a client has; none where it is absent or blank. Browsers send back
/// what the stream sent them, which is the time of a message.
pub(super) fn event_id(
    parameter: &'static str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, ValidationError> {
    let text = text.unwrap_or_default();
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
