//! The answers of webhooks and `ElizaOS` servers.

use async_stream::try_stream;
use futures_util::stream::Stream;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::activity::ActivityReader;
use super::attachments::Attachments;
use crate::agents::backend::{BackendError, Piece, TurnRequest};
use crate::agents::client::body::AnswerBody;
use crate::agents::client::http_client::invalid_json;
use crate::agents::client::redact::Redactor;
use crate::agents::client::reported_error::reported_error;
use crate::agents::client::sse::SseEvent;
use crate::agents::client::surrogates::{Joiner, string_in};
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::{MAX_ACTIONS_BYTES, MAX_THOUGHT_BYTES};
use crate::domain::turn::Reply;
use crate::json::{self, Field, JsString};
use crate::message_json::reply_metadata;
use crate::session_json::metadata_patch;

/// Ends a stream of chunks without names.
const DONE: &str = "[DONE]";

/// Values of `error` in the data of an event that mean no error.
const NO_ERROR: [&str; 4] = ["null", "false", "\"\"", "{}"];

/// `{text, thought?, actions?, attachments?, metadata?, sessionMetadata?}`. Other members are
/// ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BackendAnswer {
    text: Option<String>,
    thought: Option<Value>,
    actions: Option<Value>,
    attachments: Option<Value>,
    metadata: Field<Map<String, Value>>,
    #[serde(rename = "sessionMetadata")]
    session_metadata: Field<Map<String, Value>>,
    error: Option<Value>,
}

/// The session and agent of an answer, for the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplyOrigin {
    session: SessionId,
    agent: AgentId,
    may_change_session: bool,
}

impl ReplyOrigin {
    pub(crate) fn new(request: &TurnRequest) -> Self {
        Self {
            session: request.session.id,
            agent: request.session.agent_id,
            may_change_session: false,
        }
    }

    /// Accepts `sessionMetadata`, which is not part of the answers of `ElizaOS`.
    pub(crate) fn with_session_metadata(self) -> Self {
        Self {
            may_change_session: true,
            ..self
        }
    }

    fn log_dropped(self, part: &str, reason: &str) {
        let Self { session, agent, .. } = self;
        tracing::warn!(
            %session, %agent, part, reason,
            "a part of an agent's reply cannot be stored and is dropped"
        );
    }
}

impl BackendAnswer {
    pub(crate) fn from_text(text: String) -> Self {
        Self {
            text: Some(text),
            ..Self::default()
        }
    }

    /// Returns the reply.
    ///
    /// # Errors
    /// There is no text, nor actions or attachments. An error beside an empty text is the cause.
    pub(crate) fn into_reply(
        mut self,
        origin: ReplyOrigin,
        redactor: &Redactor,
    ) -> Result<Reply, BackendError> {
        let error = self.error.take();
        let has_text = self.text.is_some();
        let reply = self.into_reply_or(String::new(), origin);
        if reply.actions.is_some() || reply.body.attachments.is_some() {
            return Ok(reply);
        }
        let error = error.filter(|_| reply.body.content.is_empty());
        match error.and_then(|error| error_in(&error, redactor)) {
            Some(error) => Err(error),
            None if has_text => Ok(reply),
            None => Err(no_text()),
        }
    }

    /// Returns the reply; `streamed` replaces an empty text.
    ///
    /// Parts that cannot be stored are dropped and logged: the text is still useful.
    pub(crate) fn into_reply_or(self, streamed: String, origin: ReplyOrigin) -> Reply {
        let text = self.text.filter(|text| !text.is_empty());
        let mut reply = Reply::text(text.unwrap_or(streamed));
        reply.thought = thought(self.thought, origin);
        reply.actions = actions(self.actions, origin);
        reply.body.metadata = reply_metadata(self.metadata).unwrap_or_else(|invalid| {
            origin.log_dropped("metadata", invalid.reason());
            None
        });
        reply.body.attachments = attachments(self.attachments, origin);
        if origin.may_change_session {
            let patch = metadata_patch("sessionMetadata", self.session_metadata);
            reply.session_metadata = patch.unwrap_or_else(|invalid| {
                origin.log_dropped("sessionMetadata", invalid.reason());
                None
            });
        }
        reply
    }
}

/// What events without a name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// Chunks; `[DONE]` ends the stream.
    Chunks,
    Ignored,
}

/// The content of an event.
enum Content {
    Chunk(JsString),
    /// The end of the reply; `None` for `[DONE]`.
    Done(Option<Box<BackendAnswer>>),
}

/// Returns the pieces of a streamed answer: events `activity`, `chunk`, `done` and `error`. A `done`
/// without a text and without chunks is a reply too: the agent may have acted, and must not act
/// again.
pub(crate) fn pieces(
    body: AnswerBody,
    redactor: Redactor,
    origin: ReplyOrigin,
    unnamed: Unnamed,
) -> impl Stream<Item = Result<Piece, BackendError>> {
    try_stream! {
        let mut streamed = String::new();
        let mut joiner = Joiner::default();
        let mut activities = ActivityReader::default();
        for await event in body.events() {
            let event = event?;
            if event.name == "activity" {
                let activity = activities.read(&event.data, origin.session, origin.agent);
                if let Some(piece) = activity.map(Piece::Activity) {
                    redactor.note(&piece);
                    yield piece;
                }
                continue;
            }
            let answer = match content(&event, unnamed, &redactor)? {
                None => continue,
                Some(Content::Chunk(chunk)) => {
                    let chunk = joiner.push(&chunk);
                    streamed.push_str(&chunk);
                    let piece = Piece::Chunk(chunk);
                    redactor.note(&piece);
                    yield piece;
                    continue;
                }
                Some(Content::Done(answer)) => answer,
            };
            if let Some(rest) = joiner.finish() {
                streamed.push_str(&rest);
                yield Piece::Chunk(rest);
            }
            if answer.is_none() && streamed.is_empty() {
                Err(no_text())?;
            }
            yield Piece::done(answer.unwrap_or_default().into_reply_or(streamed, origin));
            return;
        }
    }
}

/// Returns the error that the `error` of an answer reports; `None` if it reports none.
pub(crate) fn error_in(error: &Value, redactor: &Redactor) -> Option<BackendError> {
    let is_error = match error {
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    };
    let answer = is_error.then(|| json!({ "error": error }).to_string())?;
    Some(reported_error(&answer, redactor))
}

/// Returns the error of an answer that is not a reply.
fn no_text() -> BackendError {
    BackendError::new(FailureReason::InvalidReply, "its answer has no text")
}

fn content(
    event: &SseEvent,
    unnamed: Unnamed,
    redactor: &Redactor,
) -> Result<Option<Content>, BackendError> {
    let invalid = |error| invalid_json("an event", &error);
    let content = match event.name.as_str() {
        "chunk" => {
            // `ElizaOS` may call it `text`.
            let chunk = string_in(&event.data, &["chunk", "text"]).map_err(invalid)?;
            Content::Chunk(chunk.ok_or_else(|| {
                BackendError::new(
                    FailureReason::InvalidReply,
                    "a chunk of its answer has neither chunk nor text",
                )
            })?)
        }
        "done" => Content::Done(json::from_js(event.data.as_bytes()).map_err(invalid)?),
        "error" => return Err(reported_error(&event.data, redactor)),
        "" | "message" if unnamed == Unnamed::Chunks => unnamed_content(&event.data, redactor)?,
        _ => return Ok(None),
    };
    Ok(Some(content))
}

/// Returns the chunk of an event without a name: one of the usual members, or all of the data.
fn unnamed_content(data: &str, redactor: &Redactor) -> Result<Content, BackendError> {
    if data.trim() == DONE {
        return Ok(Content::Done(None));
    }
    let Ok(members) = json::members(data) else {
        return Ok(Content::Chunk(data.into()));
    };
    let text_of = |name: &&str| serde_json::from_str(members.get(name)?.get()).ok();
    if let Some(chunk) = ["chunk", "text", "content"].iter().find_map(text_of) {
        return Ok(Content::Chunk(chunk));
    }
    let error = members.get("error").map(RawValue::get);
    if error.is_some_and(|error| !NO_ERROR.contains(&error)) {
        return Err(reported_error(data, redactor));
    }
    Ok(Content::Chunk(data.into()))
}

fn thought(value: Option<Value>, origin: ReplyOrigin) -> Option<String> {
    let mut thought = match value? {
        Value::String(thought) => thought,
        other => {
            let reason = format!("thought must be a string, not {}", json::kind(&other));
            origin.log_dropped("thought", &reason);
            return None;
        }
    };
    thought.truncate(thought.floor_char_boundary(MAX_THOUGHT_BYTES));
    (!thought.is_empty()).then_some(thought)
}

fn attachments(value: Option<Value>, origin: ReplyOrigin) -> Option<String> {
    let attachments = Attachments::read(value);
    if let Some(reason) = &attachments.reason {
        let part = format!("attachments ({} of them)", attachments.dropped);
        origin.log_dropped(&part, reason);
    }
    attachments.text
}

/// Returns the text of an array that is short enough to be stored.
fn actions(value: Option<Value>, origin: ReplyOrigin) -> Option<String> {
    let actions = match value? {
        Value::Array(actions) => actions,
        other => {
            let reason = format!("actions must be an array, not {}", json::kind(&other));
            origin.log_dropped("actions", &reason);
            return None;
        }
    };
    let text = json::text(&actions);
    if text.len() > MAX_ACTIONS_BYTES {
        let reason = format!("actions must be at most {MAX_ACTIONS_BYTES} bytes");
        origin.log_dropped("actions", &reason);
        return None;
    }
    Some(text)
}
