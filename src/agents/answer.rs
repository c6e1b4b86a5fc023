//! A reply as other programs write it.

use async_stream::try_stream;
use futures_util::stream::Stream;
use serde::Deserialize;
use serde_json::Value;

use super::attachments::Attachments;
use super::backend::{BackendError, Piece, TurnRequest};
use super::body::Body;
use super::scrub::Scrub;
use super::sse::Event;
use super::surrogates::{Joiner, string_in};
use super::upstream;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::{MAX_ATTACHMENTS_BYTES, json_text, message_metadata};
use crate::domain::turn::Reply;
use crate::json::JsString;

/// The longest thought that is kept, in bytes.
pub(super) const MAX_THOUGHT_BYTES: usize = 16 * 1024;

/// `{text, thought?, actions?, attachments?, metadata?}`. What else there is, is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    text: Option<String>,
    thought: Option<Value>,
    actions: Option<Value>,
    attachments: Option<Value>,
    metadata: Option<Value>,
}

/// Whose answer it is, for the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    session: SessionId,
    agent: AgentId,
}

impl Origin {
    /// The answer to a request.
    pub(super) fn of(request: &TurnRequest) -> Self {
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
    pub(super) fn of_text(text: String) -> Self {
        Self {
            text: Some(text),
            ..Self::default()
        }
    }

    /// The reply; where it has no text, `said` is it. None where nothing was said at all.
    ///
    /// What cannot be stored of the rest is left out, and named in the log: the text is worth
    /// more than the failure of the whole.
    pub(super) fn into_reply(self, said: Option<String>, origin: Origin) -> Option<Reply> {
        let text = self.text.filter(|text| !text.is_empty() || said.is_none());
        let mut reply = Reply::text(text.or(said)?);
        reply.thought = thought(self.thought);
        reply.actions = actions(self.actions, origin);
        reply.body.metadata = metadata(self.metadata.as_ref(), origin);
        reply.body.attachments = attachments(self.attachments, origin);
        Some(reply)
    }
}

/// The pieces of an answer that is streamed: events `chunk`, `done` and `error`. An end without
/// a text, after no chunk, is `nothing_said`.
pub(super) fn pieces(
    body: Body,
    scrub: Scrub,
    origin: Origin,
    nothing_said: fn() -> BackendError,
) -> impl Stream<Item = Result<Piece, BackendError>> {
    try_stream! {
        let mut said: Option<String> = None;
        let mut joiner = Joiner::default();
        for await event in body.events() {
            let event = event?;
            match event.name.as_str() {
                "chunk" => {
                    let chunk = joiner.push(&chunk(&event)?);
                    said.get_or_insert_default().push_str(&chunk);
                    yield Piece::Chunk(chunk);
                }
                "done" => {
                    if let Some(rest) = joiner.finish() {
                        said.get_or_insert_default().push_str(&rest);
                        yield Piece::Chunk(rest);
                    }
                    let answer: Answer = upstream::data(&event)?;
                    yield Piece::done(answer.into_reply(said, origin).ok_or_else(nothing_said)?);
                    return;
                }
                "error" => Err(upstream::told_error(&event, &scrub))?,
                _ => {}
            }
        }
    }
}

/// The text of a chunk, which `ElizaOS` may call `text`.
fn chunk(event: &Event) -> Result<JsString, BackendError> {
    let chunk = string_in(&event.data, &["chunk", "text"]);
    let chunk = chunk.map_err(|error| upstream::not_understood("an event", &error))?;
    chunk.ok_or_else(|| {
        BackendError::Final("a chunk of its answer has neither chunk nor text".into())
    })
}

fn thought(value: Option<Value>) -> Option<String> {
    let Some(Value::String(mut thought)) = value else {
        return None;
    };
    thought.truncate(thought.floor_char_boundary(MAX_THOUGHT_BYTES));
    (!thought.is_empty()).then_some(thought)
}

fn metadata(value: Option<&Value>, origin: Origin) -> Option<String> {
    message_metadata(value).unwrap_or_else(|invalid| {
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
    let text = json_text(&actions);
    if text.len() > MAX_ATTACHMENTS_BYTES {
        let reason = format!("actions must be at most {MAX_ATTACHMENTS_BYTES} bytes");
        origin.left_out("actions", &reason);
        return None;
    }
    Some(text)
}
