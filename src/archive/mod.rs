//! The JSON Lines in which sessions are exported and imported.
//!
//! A line is an object with a `type`. A `session` comes first, then its `message`s, oldest first;
//! a `damaged` record stands with the session that it belongs to; a `deleted` line takes back the
//! session before it, which was deleted while it was exported. Each line holds all that is stored
//! of it, so that what is imported and exported again is the same to the last byte.

mod message;
mod session;
mod set_aside;

use serde::{Deserialize, Serialize};

use self::message::MessageLine;
use self::session::SessionLine;
use self::set_aside::SetAsideLine;
use crate::domain::archive::Item;
use crate::domain::id::{SessionId, parse_uuid};
use crate::domain::time::Timestamp;
use crate::json;

/// The longest line that is read: the largest record, were all of it escaped.
pub const MAX_LINE: usize = 8 << 20;

#[derive(Deserialize)]
struct Head {
    r#type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DeletedLine {
    r#type: String,
    session_id: String,
}

/// The line of an item, with its end.
#[must_use]
pub fn line(item: &Item) -> String {
    // They have string keys and no failing `Serialize`, the two ways in which this can fail.
    let text = match item {
        Item::Session(session) => serde_json::to_string(&SessionLine::of(session)),
        Item::Message(message) => serde_json::to_string(&MessageLine::of(message)),
        Item::Quarantined(aside) => serde_json::to_string(&SetAsideLine::of(aside)),
        Item::Deleted(session) => serde_json::to_string(&DeletedLine {
            r#type: "deleted".into(),
            session_id: session.to_string(),
        }),
    };
    let mut text = text.unwrap_or_default();
    text.push('\n');
    text
}

/// The item of a line. A name that stands twice in it is refused: exports write none, so the line
/// was edited or damaged, and taking the last value would hide it. Metadata, attachments and actions
/// are kept as they stand, in which readers take the last value.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(line: &str) -> Result<Item, String> {
    let line = json::well_formed(line.as_bytes());
    let line = line.as_ref();
    json::refuse_reserved_names(line).map_err(|error| json::explain(&error))?;
    let head: Head = from_json(line)?;
    match head.r#type.as_str() {
        "session" => from_json::<SessionLine>(line)?
            .into_item()
            .map(Item::Session),
        "message" => from_json::<MessageLine>(line)?
            .into_item()
            .map(Item::Message),
        "damaged" => from_json::<SetAsideLine>(line)?
            .into_item()
            .map(Item::Quarantined),
        "deleted" => from_json::<DeletedLine>(line)
            .and_then(|line| id("sessionId", &line.session_id))
            .map(|id| Item::Deleted(SessionId::from(id))),
        other => Err(format!(
            "its type is {other:?}; known are session, message, damaged and deleted"
        )),
    }
}

fn from_json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| json::explain(&error))
}

/// An id of a line.
fn id(field: &str, text: &str) -> Result<u128, String> {
    parse_uuid(text)
        .map(|id| id.as_u128())
        .ok_or_else(|| format!("{field} is no UUID"))
}

/// A time of a line. It must be exact, or it would not come back as it was.
fn time(field: &str, text: &str) -> Result<Timestamp, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|time| Timestamp(time.timestamp_millis()))
        .ok()
        .filter(|time| time.to_string() == text)
        .ok_or_else(|| format!("{field} is no time like 2024-01-15T10:30:45.123Z"))
}

#[cfg(test)]
mod tests;
