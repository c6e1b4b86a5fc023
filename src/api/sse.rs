//! Server-sent events, and the reply to a message as a stream of them.

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::Stream;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dto::schemas;
use super::dto::{AgentResponse, SessionStatus, UserMessage};
use crate::app::{Ending, ReplyEvent, SentMessage, SentTurn};
use crate::client_events::MessageActivity;
use crate::domain::failure::FailureReason;
use crate::domain::id::MessageId;
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::metrics::OpenGauge;

/// The interval of comments that keep a stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The first event: the message and its session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SentUserMessage)]
pub(super) struct SentEvent<'a> {
    #[serde(flatten)]
    pub(super) message: UserMessage<'a>,
    pub(super) session_status: SessionStatus,
}

/// A part of a reply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplyChunk<'a> {
    /// The id of the coming reply.
    message_id: Uuid,
    chunk: &'a str,
    /// The number of the chunk, from 0.
    index: u32,
}

/// Why this stream has no reply.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplyError<'a> {
    /// For people.
    error: &'a str,
    /// An error code of the API.
    code: &'a str,
    /// The cause, if the turn failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::FailureReason>, nullable = false)]
    reason: Option<&'static str>,
}

impl<'a> ReplyChunk<'a> {
    pub(super) fn new(message_id: MessageId, chunk: &'a str, index: u32) -> Self {
        Self {
            message_id: message_id.0,
            chunk,
            index,
        }
    }
}

impl<'a> From<&'a TurnFailure> for ReplyError<'a> {
    fn from(failure: &'a TurnFailure) -> Self {
        Self {
            error: &failure.message,
            code: &failure.code,
            reason: failure.reason.map(FailureReason::as_str),
        }
    }
}

pub(super) fn response<S>(events: S) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let events = Sse::new(events).keep_alive(keep_alive);
    ([("x-accel-buffering", "no")], events).into_response()
}

pub(super) fn event<T: Serialize>(name: &str, data: &T) -> Event {
    Event::default()
        .event(name)
        .data(serde_json::to_string(data).unwrap_or_default())
}

/// Streams the reply to a message. The stream counts as `open` while it lives.
pub(super) fn reply_events(
    message: SentMessage,
    now: Timestamp,
    open: OpenGauge,
) -> impl Stream<Item = Result<Event, Infallible>> {
    // The message is a user's, so it has a reply id.
    let reply_id = message.reply_id().unwrap_or(message.sent.message.id);
    let sent = &message.sent;
    let first = SentEvent {
        message: UserMessage::from(&message),
        session_status: SessionStatus::new(&sent.session, sent.renewed, now),
    };
    let first = event("user_message", &first);
    let (agent_id, session_id) = (sent.session.agent_id, sent.session.id);
    let mut turn = message.turn;
    stream! {
        let _open = open;
        yield Ok(first);
        let mut index = 0;
        let ending = loop {
            let next = match &mut turn {
                // A feed that ends without a last event was that of a deleted session.
                SentTurn::Open(receiver) => receiver.next().await,
                SentTurn::Ended(ending) => Some(ReplyEvent::End(ending.clone())),
            };
            match next.unwrap_or(ReplyEvent::End(Ending::Deleted)) {
                ReplyEvent::Chunk(text) => {
                    yield Ok(event("chunk", &ReplyChunk::new(reply_id, &text, index)));
                    index += 1;
                }
                ReplyEvent::Activity(it) => {
                    let activity = MessageActivity::new(reply_id, agent_id, session_id, &it);
                    yield Ok(event("activity", &activity));
                }
                ReplyEvent::End(ending) => break ending,
            }
        };
        if let Ending::Replied(reply) = &ending
            && index == 0
            && !reply.body.content.is_empty()
        {
            // A reply that was not streamed to this client is one chunk. It has another id if it
            // answers a later message too.
            let chunk = ReplyChunk::new(reply.id, &reply.body.content, 0);
            yield Ok(event("chunk", &chunk));
        }
        yield Ok(last(&ending));
    }
}

fn last(ending: &Ending) -> Event {
    let error = match ending {
        Ending::Replied(reply) => return event("done", &AgentResponse::from(&**reply)),
        Ending::Failed(failure) => ReplyError::from(failure),
        Ending::Deleted => ReplyError {
            error: "Session not found",
            code: "SESSION_NOT_FOUND",
            reason: None,
        },
        Ending::Stopping => ReplyError {
            error: "The server is stopping; the reply will follow after its next start",
            code: "SERVICE_UNAVAILABLE",
            reason: None,
        },
    };
    event("error", &error)
}
