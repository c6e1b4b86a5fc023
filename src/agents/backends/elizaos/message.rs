//! A message in the form in which that server takes it.
//!
//! Of what it is sent, `ElizaOS` 1.7.2 shows its agent the text alone: metadata and attachments are
//! stored there and reach nobody, and the agent's own replies are not stored at all. So what the
//! agent has to know stands before the text.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::agents::backend::{BackendError, TurnRequest};
use crate::domain::message::{Message, Role, TurnState};

/// The longest text that it takes, in UTF-16 code units.
const MAX_TEXT: usize = 4000;

/// The longest metadata that it takes, as JSON in UTF-16 code units.
const MAX_METADATA: usize = 10_240;

/// Stands before what was said earlier.
const EARLIER: &str = "[Earlier in this conversation]\n";

/// Stands between that and the message.
const NOW: &str = "\n[The user now says]\n";

/// Stands where a text was cut off.
const CUT: &str = "…";

/// A beginning of an earlier message that is shorter than this, in UTF-16 code units, is not worth
/// its place.
const MIN_BEGINNING: usize = 100;

/// A message as it is sent.
#[derive(Debug, PartialEq)]
pub(super) struct Outgoing {
    /// The text, with what was said before where the agent does not know it.
    pub(super) content: String,
    /// None where the message has none.
    pub(super) metadata: Option<Map<String, Value>>,
    /// None where the message has none.
    pub(super) attachments: Option<Value>,
}

impl Outgoing {
    /// The message of a request, for a session there that is new or is not.
    ///
    /// # Errors
    /// Nothing is left of its text.
    pub(super) fn of(request: &TurnRequest, is_new: bool) -> Result<Self, BackendError> {
        let body = &request.message.body;
        let own = without_nul(&body.content);
        if own.is_empty() {
            return Err(BackendError::Final(
                "the message has nothing but NUL characters, which ElizaOS cannot store".into(),
            ));
        }
        let text = beginning(&own, MAX_TEXT);
        let is_truncated = text.len() < own.len();
        let mut metadata = body.metadata.as_deref().map(|text| object(Some(text)));
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

/// An object that is stored as text, without the characters that cannot be stored there.
pub(super) fn object(text: Option<&str>) -> Map<String, Value> {
    let fields: Option<Map<_, _>> = text.and_then(|text| serde_json::from_str(text).ok());
    fields.map(map_without_nul).unwrap_or_default()
}

/// What was said before and the agent does not know: in a new session all of it. In one that goes
/// on, that server has kept the user's messages, and not what the agent said since the last one
/// that it answered.
fn unknown(request: &TurnRequest, is_new: bool) -> &[Message] {
    let earlier = request.history.messages();
    let known = if is_new {
        None
    } else {
        earlier.iter().rposition(is_answered)
    };
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

/// The text behind as many of the newest earlier messages as have a place.
fn with_earlier(earlier: &[Message], text: &str) -> String {
    let mut left = MAX_TEXT.saturating_sub(units(text) + units(EARLIER) + units(NOW));
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

/// The beginning of a line, where that is long enough to tell something.
fn cut(line: &str, max: usize) -> Option<String> {
    let max = max.checked_sub(units(CUT) + 1)?;
    let begun = (max >= MIN_BEGINNING).then(|| beginning(line, max))?;
    Some(format!("{begun}{CUT}\n"))
}

/// As much of a text as has at most so many UTF-16 code units.
fn beginning(text: &str, max: usize) -> &str {
    let mut left = max;
    let end = text.char_indices().find_map(|(index, char)| {
        let rest = left.checked_sub(char.len_utf16());
        left = rest.unwrap_or_default();
        rest.is_none().then_some(index)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The length that JavaScript gives a text.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Says in a message's metadata that its text was cut off, where there is a place for it.
fn mark_truncated(metadata: &mut Map<String, Value>) {
    let before = metadata.insert("truncated".into(), Value::Bool(true));
    if units(&Value::Object(metadata.clone()).to_string()) <= MAX_METADATA {
        return;
    }
    match before {
        Some(before) => metadata.insert("truncated".into(), before),
        None => metadata.shift_remove("truncated"),
    };
}

/// A text without NUL, which no text in its database can have.
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
