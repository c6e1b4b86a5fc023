//! The JSON Lines format of exports and imports.
//!
//! A line is an object with a `type`. A `session` comes first, then its `message`s, oldest first,
//! and its `damaged` records. A `deleted` line revokes the session before it, which was deleted
//! during the export. Lines hold everything that is stored, so exporting an import yields the same
//! bytes.

mod bounds;
mod fields;
mod lines;
mod message;
mod quarantined;
mod session;

use serde::{Deserialize, Serialize};

pub use self::bounds::within_bounds;
pub use self::lines::Lines;
use self::message::MessageLine;
use self::quarantined::QuarantinedLine;
use self::session::SessionLine;
use crate::domain::archive::Item;
use crate::json;
use crate::telemetry::shorten;

/// The maximum length of a line in bytes: the largest record, completely escaped.
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

/// Returns the line of an item, with its line break.
#[must_use]
pub fn line(item: &Item) -> String {
    // All keys are strings and no `Serialize` fails, so this cannot fail.
    let text = match item {
        Item::Session(session) => serde_json::to_string(&SessionLine::new(session)),
        Item::Message(message) => serde_json::to_string(&MessageLine::new(message)),
        Item::Quarantined(record) => serde_json::to_string(&QuarantinedLine::new(record)),
        Item::Deleted(session) => serde_json::to_string(&DeletedLine {
            r#type: "deleted".into(),
            session_id: session.to_string(),
        }),
    };
    let mut text = text.unwrap_or_default();
    text.push('\n');
    text
}

/// Parses a line. Duplicate names are refused: exports have none, so the line was edited or
/// damaged, and using the last value would hide that. Metadata, attachments and actions are stored
/// unchanged, and their readers use the last value.
///
/// # Errors
/// A description of what is wrong with the line.
pub fn parse(line: &str) -> Result<Item, String> {
    // The reason may quote the line.
    parse_whole(line).map_err(|reason| shorten(&reason).into_owned())
}

fn parse_whole(line: &str) -> Result<Item, String> {
    let line = json::well_formed(line.as_bytes());
    let line = line.as_ref();
    json::refuse_reserved_names(line).map_err(|error| explain(&error))?;
    let head: Head = from_json(line)?;
    match head.r#type.as_str() {
        "session" => from_json::<SessionLine>(line)?
            .into_item()
            .map(Item::Session),
        "message" => from_json::<MessageLine>(line)?
            .into_item()
            .map(Item::Message),
        "damaged" => from_json::<QuarantinedLine>(line)?
            .into_item()
            .map(Item::Quarantined),
        "deleted" => from_json::<DeletedLine>(line)
            .and_then(|line| fields::id("sessionId", &line.session_id))
            .map(Item::Deleted),
        other => Err(format!(
            "its type is {other:?}; known are session, message, damaged and deleted"
        )),
    }
}

fn from_json<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| explain(&error))
}

/// Explains an error without the number of the line, which is always 1 here: callers name the line
/// of the file.
fn explain(error: &serde_json::Error) -> String {
    json::explain(error).replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
mod tests;
