//! A reply as other programs write it.

use async_stream::try_stream;
use futures_util::stream::Stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::attachments::Attachments;
use crate::agents::backend::{BackendError, Piece, TurnRequest};
use crate::agents::client::body::Body;
use crate::agents::client::http_client;
use crate::agents::client::redact::Redactor;
use crate::agents::client::sse::Event;
use crate::agents::client::surrogates::{Joiner, string_in};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::MAX_ATTACHMENTS_BYTES;
use crate::domain::turn::Reply;
use crate::json::{self, Field, JsString};
use crate::message_json::message_metadata;

/// The longest thought that is kept, in bytes.
pub(in crate::agents) const MAX_THOUGHT_BYTES: usize = 16 * 1024;

/// What ends a stream of chunks without names.
const LAST: &str = "[DONE]";

/// Values of `error` that stand for none.
const NO_ERROR: [&str; 4] = ["null", "false", "\"\"", "{}"];

/// `{text, thought?, actions?, attachments?, metadata?}`. What else there is, is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::agents) struct Answer {
    text: Option<String>,
    thought: Option<Value>,
    actions: Option<Value>,
    attachments: Option<Value>,
    metadata: Field<Map<String, Value>>,
}

/// Whose answer it is, for the log.
#[derive(Debug, Clone, Copy)]
pub(in crate::agents) struct Origin {
    session: SessionId,
    agent: AgentId,
}

impl Origin {
    /// The answer to a request.
    pub(in crate::agents) fn of(request: &TurnRequest) -> Self {
        Self {
            session: request.session.id,
            agent: request.session.agent_id,
        }
    }

    fn left_out(self, part: &str, reason: &str) {
        let Self { session, agent } = self;
        tracing::warn!(
            %session, %agent, part, reason,
            "a part of an agent's reply cannot be stored and is left out"
        );
    }
}

impl Answer {
    /// Nothing but a text.
    pub(in crate::agents) fn of_text(text: String) -> Self {
        Self {
            text: Some(text),
            ..Self::default()
        }
    }

    /// The reply, which may have actions or attachments and no text; none where there is nothing of
    /// these.
    pub(in crate::agents) fn into_reply(self, origin: Origin) -> Option<Reply> {
        let has_text = self.text.is_some();
        let reply = self.into_reply_or(String::new(), origin);
        let says_something =
            has_text || reply.actions.is_some() || reply.body.attachments.is_some();
        says_something.then_some(reply)
    }

    /// The reply; where it has no text, `said` is it.
    ///
    /// What cannot be stored of the rest is left out, and named in the log: the text is worth
    /// more than the failure of the whole.
    pub(in crate::agents) fn into_reply_or(self, said: String, origin: Origin) -> Reply {
        let text = self.text.filter(|text| !text.is_empty());
        let mut reply = Reply::text(text.unwrap_or(said));
        reply.thought = thought(self.thought);
        reply.actions = actions(self.actions, origin);
        reply.body.metadata = metadata(self.metadata, origin);
        reply.body.attachments = attachments(self.attachments, origin);
        reply
    }
}

/// What the events of a stream are that have no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::agents) enum Unnamed {
    /// Chunks; `[DONE]` ends the stream.
    Chunks,
    /// Nothing.
    Ignored,
}

/// What an event of a stream tells.
enum Told {
    Chunk(JsString),
    Done(Box<Answer>),
    /// The end, without an answer of its own.
    Last,
    Nothing,
}

/// The pieces of an answer that is streamed: events `chunk`, `done` and `error`. A `done` without a
/// text, after no chunk, is an answer too: the agent may have acted, and must not do so again.
pub(in crate::agents) fn pieces(
    body: Body,
    redactor: Redactor,
    origin: Origin,
    unnamed: Unnamed,
) -> impl Stream<Item = Result<Piece, BackendError>> {
    try_stream! {
        let mut said = String::new();
        let mut joiner = Joiner::default();
        for await event in body.events() {
            match told(&event?, unnamed, &redactor)? {
                Told::Chunk(chunk) => {
                    let chunk = joiner.push(&chunk);
                    said.push_str(&chunk);
                    yield Piece::Chunk(chunk);
                }
                Told::Done(answer) => {
                    if let Some(rest) = joiner.finish() {
                        said.push_str(&rest);
                        yield Piece::Chunk(rest);
                    }
                    yield Piece::done(answer.into_reply_or(said, origin));
                    return;
                }
                Told::Last => {
                    if let Some(rest) = joiner.finish() {
                        said.push_str(&rest);
                        yield Piece::Chunk(rest);
                    }
                    if said.is_empty() {
                        Err(no_text())?;
                    }
                    yield Piece::done(Reply::text(said));
                    return;
                }
                Told::Nothing => {}
            }
        }
    }
}

/// The failure of an answer that says nothing at all.
pub(in crate::agents) fn no_text() -> BackendError {
    BackendError::Final("its answer has no text".into())
}

fn told(event: &Event, unnamed: Unnamed, redactor: &Redactor) -> Result<Told, BackendError> {
    match event.name.as_str() {
        "chunk" => {
            // `ElizaOS` may call it `text`.
            let chunk = string_in(&event.data, &["chunk", "text"]);
            let chunk = chunk.map_err(|error| http_client::not_understood("an event", &error))?;
            chunk.map(Told::Chunk).ok_or_else(|| {
                BackendError::Final("a chunk of its answer has neither chunk nor text".into())
            })
        }
        "done" => Ok(Told::Done(Box::new(http_client::data(event)?))),
        "error" => Err(http_client::told_error(event, redactor)),
        // A name that stands for none.
        "" | "message" if unnamed == Unnamed::Chunks => of_unnamed(event, redactor),
        _ => Ok(Told::Nothing),
    }
}

/// What an event without a name tells: a chunk in one of the fields that are usual, or as it is.
fn of_unnamed(event: &Event, redactor: &Redactor) -> Result<Told, BackendError> {
    let data = event.data.as_str();
    if data.trim() == LAST {
        return Ok(Told::Last);
    }
    let Ok(members) = json::members(data) else {
        return Ok(Told::Chunk(data.into()));
    };
    let text_of = |name: &&str| serde_json::from_str(members.get(name)?.get()).ok();
    if let Some(chunk) = ["chunk", "text", "content"].iter().find_map(text_of) {
        return Ok(Told::Chunk(chunk));
    }
    let error = members.get("error").map(RawValue::get);
    if error.is_some_and(|error| !NO_ERROR.contains(&error)) {
        return Err(http_client::told_error(event, redactor));
    }
    Ok(Told::Chunk(data.into()))
}

fn thought(value: Option<Value>) -> Option<String> {
    let Some(Value::String(mut thought)) = value else {
        return None;
    };
    thought.truncate(thought.floor_char_boundary(MAX_THOUGHT_BYTES));
    (!thought.is_empty()).then_some(thought)
}

fn metadata(sent: Field<Map<String, Value>>, origin: Origin) -> Option<String> {
    message_metadata(sent).unwrap_or_else(|invalid| {
        origin.left_out("metadata", invalid.reason());
        None
    })
}

fn attachments(value: Option<Value>, origin: Origin) -> Option<String> {
    let attachments = Attachments::read(value);
    if let Some(reason) = &attachments.reason {
        let part = format!("attachments ({} of them)", attachments.left_out);
        origin.left_out(&part, reason);
    }
    attachments.text
}

/// An array, as text. One that is too long for what a message may carry is left out.
fn actions(value: Option<Value>, origin: Origin) -> Option<String> {
    let Some(Value::Array(actions)) = value else {
        return None;
    };
    let text = json::text(&actions);
    if text.len() > MAX_ATTACHMENTS_BYTES {
        let reason = format!("actions must be at most {MAX_ATTACHMENTS_BYTES} bytes");
        origin.left_out("actions", &reason);
        return None;
    }
    Some(text)
}
