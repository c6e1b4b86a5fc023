//! A message in the format of an `ElizaOS` server.
//!
//! `ElizaOS` 1.7.2 shows its agent only the text of a message: metadata and attachments are stored
//! there without effect, and the agent's own replies are not stored. What the agent has to know
//! therefore precedes the text.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::agents::backend::{BackendError, TurnRequest};
use crate::domain::failure::FailureReason;
use crate::domain::message::{Message, Role, TurnState};

/// The server's limit of a text, in UTF-16 code units.
const MAX_TEXT_UNITS: usize = 4000;

/// The server's limit of metadata, as JSON in UTF-16 code units.
const MAX_METADATA_UNITS: usize = 10_240;

/// Precedes the earlier messages.
const EARLIER: &str = "[Earlier in this conversation]\n";

/// Precedes the message after those.
const NOW: &str = "\n[The user now says]\n";

/// Ends a text that was cut.
const CUT: &str = "…";

/// An earlier message is not cut shorter than this, in UTF-16 code units.
const MIN_BEGINNING_UNITS: usize = 100;

/// A message as it is sent.
#[derive(Debug, PartialEq)]
pub(super) struct Outgoing {
    /// The text, after the earlier messages that the agent does not know.
    pub(super) content: String,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) attachments: Option<Value>,
}

impl Outgoing {
    /// Returns the message of a request, for a new or an existing remote session.
    ///
    /// # Errors
    /// The text has only characters that the server cannot store.
    pub(super) fn new(request: &TurnRequest, is_new: bool) -> Result<Self, BackendError> {
        let body = &request.message.body;
        let own = without_nul(&body.content);
        if own.is_empty() {
            return Err(BackendError::new(
                FailureReason::Refused,
                "the message has only NUL characters, which ElizaOS cannot store",
            ));
        }
        let text = beginning(&own, MAX_TEXT_UNITS);
        let is_truncated = text.len() < own.len();
        let mut metadata = body.metadata.as_deref().map(object);
        if is_truncated {
            mark_truncated(metadata.get_or_insert_default());
        }
        let attachments = body.attachments.as_deref();
        let attachments = attachments.map(|text| serde_json::from_str(text).unwrap_or_default());
        Ok(Self {
            content: with_earlier(unknown(request, is_new), text),
            metadata,
            attachments: attachments.map(value_without_nul),
        })
    }
}

/// Parses a stored object, without the characters that the server cannot store.
pub(super) fn object(text: &str) -> Map<String, Value> {
    let fields: Option<Map<_, _>> = serde_json::from_str(text).ok();
    fields.map(map_without_nul).unwrap_or_default()
}

/// Returns the earlier messages that the agent does not know: all of them in a new remote session.
/// An existing one has the user's messages, but no replies since the last message that was
/// answered.
fn unknown(request: &TurnRequest, is_new: bool) -> &[Message] {
    let earlier = request.history.messages();
    if is_new {
        return earlier;
    }
    let known = earlier.iter().rposition(is_answered);
    let first = known.map_or(0, |last| last + 1);
    earlier.get(first..).unwrap_or_default()
}

fn is_answered(message: &Message) -> bool {
    matches!(
        message.role,
        Role::User {
            turn: TurnState::Replied(_),
            ..
        }
    )
}

/// Returns the text after as many of the newest earlier messages as fit.
fn with_earlier(earlier: &[Message], text: &str) -> String {
    let mut left = MAX_TEXT_UNITS.saturating_sub(units(text) + units(EARLIER) + units(NOW));
    let mut lines = Vec::new();
    let newest_first = earlier.iter().rev();
    for message in newest_first.filter(|message| !message.body.content.trim().is_empty()) {
        let who = if message.is_agent() { "You" } else { "User" };
        let line = format!("{who}: {}\n", without_nul(&message.body.content));
        let Some(rest) = left.checked_sub(units(&line)) else {
            lines.extend(cut(&line, left));
            break;
        };
        left = rest;
        lines.push(line);
    }
    if lines.is_empty() {
        return text.to_owned();
    }
    lines.reverse();
    let earlier: String = lines.concat();
    format!("{EARLIER}{}{NOW}{text}", earlier.trim_end())
}

/// Cuts a line; `None` if too little of it would be left.
fn cut(line: &str, max: usize) -> Option<String> {
    let max = max.checked_sub(units(CUT) + 1)?;
    let begun = (max >= MIN_BEGINNING_UNITS).then(|| beginning(line, max))?;
    Some(format!("{begun}{CUT}\n"))
}

/// Returns as much of a text as has at most `max` UTF-16 code units.
fn beginning(text: &str, max: usize) -> &str {
    let mut left = max;
    let end = text.char_indices().find_map(|(index, char)| {
        let rest = left.checked_sub(char.len_utf16());
        left = rest.unwrap_or_default();
        rest.is_none().then_some(index)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Returns the length in UTF-16 code units.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Marks a message as truncated in its metadata, unless that would become too long.
fn mark_truncated(metadata: &mut Map<String, Value>) {
    let before = metadata.insert("truncated".into(), Value::Bool(true));
    if units(&Value::Object(metadata.clone()).to_string()) <= MAX_METADATA_UNITS {
        return;
    }
    match before {
        Some(before) => metadata.insert("truncated".into(), before),
        None => metadata.shift_remove("truncated"),
    };
}

/// Removes NUL, which the server's database cannot store in texts.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', ""))
    } else {
        Cow::Borrowed(text)
    }
}

fn value_without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(&text).into_owned()),
        Value::Array(values) => values.into_iter().map(value_without_nul).collect(),
        Value::Object(fields) => Value::Object(map_without_nul(fields)),
        other => other,
    }
}

fn map_without_nul(fields: Map<String, Value>) -> Map<String, Value> {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (without_nul(&name).into_owned(), value_without_nul(value)))
        .collect()
}
