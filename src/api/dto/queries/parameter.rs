//! Parsing of parameters.

use chrono::{DateTime, Utc};

use crate::app::error::ValidationError;
use crate::domain::number;
use crate::domain::time::Timestamp;

/// JavaScript's largest safe integer, plus one.
const MAX_EPOCH: i64 = 1 << 53;

/// How a bound between two milliseconds is rounded. Messages have whole milliseconds.
#[derive(Clone, Copy)]
pub(in crate::api::dto) enum Rounding {
    Up,
    Down,
}

/// Parses a time. A blank one is absent.
pub(in crate::api::dto) fn time(
    name: &'static str,
    text: Option<&str>,
    rounding: Rounding,
) -> Result<Option<Timestamp>, ValidationError> {
    let expected = "an integer of epoch milliseconds or an RFC 3339 time";
    optional(name, text, expected, |text| {
        epoch(text).or_else(|| rfc3339(text, rounding))
    })
}

/// Parses the id of an event, which is the time of a message. A blank one is absent.
pub(super) fn event_id(
    name: &'static str,
    text: Option<&str>,
) -> Result<Option<Timestamp>, ValidationError> {
    optional(name, text, "the id of an earlier event", |text| {
        text.trim().parse().ok().map(Timestamp)
    })
}

/// Returns the error of a parameter that is not as expected.
pub(in crate::api::dto) fn invalid(
    name: &'static str,
    value: &str,
    expected: &str,
) -> ValidationError {
    ValidationError::Pagination {
        parameter: name,
        value: value.to_owned(),
        reason: format!("{name} must be {expected}"),
    }
}

fn optional(
    name: &'static str,
    text: Option<&str>,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<Timestamp>,
) -> Result<Option<Timestamp>, ValidationError> {
    let text = text.unwrap_or_default();
    if number::is_blank(text) {
        return Ok(None);
    }
    let time = parse(text).map(Some);
    time.ok_or_else(|| invalid(name, text, expected))
}

fn epoch(text: &str) -> Option<Timestamp> {
    let milliseconds: i64 = text.parse().ok()?;
    (-MAX_EPOCH..=MAX_EPOCH)
        .contains(&milliseconds)
        .then_some(Timestamp(milliseconds))
}

fn rfc3339(text: &str, rounding: Rounding) -> Option<Timestamp> {
    // A plus sign that was not percent-encoded arrives as a space.
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
