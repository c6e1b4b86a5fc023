//! The reply to a message as a stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dto::{self, AgentResponse, SessionStatus, UserMessage};
use crate::app::{Ending, ReplyEvent, ReplyReceiver};
use crate::app::{SentMessage, SentTurn};
use crate::domain::id::MessageId;
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::metrics::Open;

/// A comment this often keeps a stream open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A response of events.
pub(super) fn response<S>(events: S) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The response to a message that was sent with the transport `sse`.
pub(super) fn reply_stream(message: SentMessage, now: Timestamp, open: Open) -> Response {
    response(events(message, now, open))
}

/// An event with its data as JSON.
pub(super) fn event<T: Serialize>(name: &str, data: &T) -> Event {
    Event::default()
        .event(name)
        .data(serde_json::to_string(data).unwrap_or_default())
}

/// What a stream begins with: the message, and what it did to its session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SentUserMessage)]
pub(super) struct SentEvent<'a> {
    #[serde(flatten)]
    message: UserMessage<'a>,
    session_status: SessionStatus,
}

/// A piece of a reply.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplyChunk<'a> {
    /// The id that the reply will have.
    message_id: Uuid,
    chunk: &'a str,
    /// Its place among the pieces, from 0.
    index: u32,
}

/// Why there is no reply on this stream.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplyError<'a> {
    /// For people.
    error: &'a str,
    /// An error code of the API.
    code: &'a str,
}

impl<'a> SentEvent<'a> {
    pub(super) fn new(message: UserMessage<'a>, session_status: SessionStatus) -> Self {
        Self {
            message,
            session_status,
        }
    }
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
        }
    }
}

/// Where the stream stands.
struct Reply {
    message_id: MessageId,
    index: u32,
    turn: SentTurn,
    /// What is told before the next news.
    pending: Vec<Event>,
    is_over: bool,
    _open: Open,
}

fn events(
    message: SentMessage,
    now: Timestamp,
    open: Open,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let first = SentEvent::new(
        dto::user_message(&message),
        dto::session_status(&message, now),
    );
    // What was sent is a user's message, whose reply has an id from the first.
    let message_id = message.reply_id().unwrap_or(message.sent.message.id);
    let reply = Reply {
        message_id,
        index: 0,
        pending: vec![event("user_message", &first)],
        turn: message.turn,
        is_over: false,
        _open: open,
    };
    stream::unfold(reply, |mut reply| async move {
        let event = reply.next().await?;
        Some((Ok(event), reply))
    })
}

impl Reply {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.pending.pop() {
            return Some(event);
        }
        if self.is_over {
            return None;
        }
        let news = match &mut self.turn {
            SentTurn::Open(waiter) => next_news(waiter).await,
            SentTurn::Ended(ending) => ReplyEvent::End(ending.clone()),
        };
        Some(match news {
            ReplyEvent::Chunk(text) => self.chunk(&text),
            ReplyEvent::End(ending) => self.end(&ending),
        })
    }

    fn chunk(&mut self, text: &str) -> Event {
        let chunk = ReplyChunk::new(self.message_id, text, self.index);
        self.index += 1;
        event("chunk", &chunk)
    }

    fn end(&mut self, ending: &Ending) -> Event {
        self.is_over = true;
        match ending {
            Ending::Replied(reply) => {
                let done = event("done", &AgentResponse::from(&**reply));
                if self.index > 0 || reply.body.content.is_empty() {
                    return done;
                }
                // A reply that was not streamed to this client comes as one piece. It may be one
                // that answers a later message too, and has its id from there.
                self.message_id = reply.id;
                self.pending.push(done);
                self.chunk(&reply.body.content)
            }
            Ending::Failed(failure) => event("error", &ReplyError::from(failure)),
            Ending::Deleted => error("SESSION_NOT_FOUND", "Session not found"),
            Ending::Stopping => error(
                "SERVICE_UNAVAILABLE",
                "The server is stopping; the reply will come after its next start",
            ),
        }
    }
}

async fn next_news(waiter: &mut ReplyReceiver) -> ReplyEvent {
    // A feed that is gone without a word was a deleted session's.
    waiter
        .next()
        .await
        .unwrap_or(ReplyEvent::End(Ending::Deleted))
}

fn error(code: &str, message: &str) -> Event {
    let error = ReplyError {
        error: message,
        code,
    };
    event("error", &error)
}
