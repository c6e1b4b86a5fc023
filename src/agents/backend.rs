//! The interface of the backends: what the turn runner asks, and what they answer.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::Stream;
use reqwest::RequestBuilder;
use tokio::sync::Notify;

use super::reply_info::ReplyInfo;
use crate::domain::activity::Activity;
use crate::domain::failure::FailureReason;
use crate::domain::id::TurnId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::turn::{ContextNeeds, History, Reply};

/// A reply in pieces; the last item is [`Piece::Done`], [`Piece::Later`] or an error.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Piece, BackendError>> + Send>>;

/// A request about a remote session.
pub type RemoteCall<T> = BoxFuture<'static, Result<T, BackendError>>;

/// A part of a backend's answer.
#[derive(Debug, Clone)]
pub enum Piece {
    /// The next text of the reply.
    Chunk(String),
    /// The complete reply, as it will be stored. Without earlier chunks, its text is sent in chunks
    /// that end at these byte positions, and at its end.
    Done(Reply, Vec<usize>),
    /// What is known so far about how the reply is made, for a reply that remains incomplete.
    Info(ReplyInfo),
    /// Something that the agent does.
    Activity(Activity),
    /// The reply will be submitted later.
    Later,
    /// The remote session's id, to be stored with the session.
    RemoteSession(String),
}

impl Piece {
    /// Returns a complete reply that is sent in one chunk.
    #[must_use]
    pub fn done(reply: Reply) -> Self {
        Self::Done(reply, Vec::new())
    }
}

/// Why a backend did not reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct BackendError {
    /// The reason that clients receive.
    pub reason: FailureReason,
    /// The cause, for operators only. It contains neither secrets nor parts of the conversation.
    pub cause: String,
    /// Whether another request may succeed.
    pub retry: Retry,
    /// What the agent says to the user instead of a reply.
    pub message: Option<String>,
}

/// Whether a failed request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Another request would fail too, or could make the agent act twice.
    Never,
    /// Another request may succeed, at this time if the server says so.
    Possible(Option<RetryAfter>),
}

impl BackendError {
    /// Creates an error that is not retried.
    pub fn new(reason: FailureReason, cause: impl Into<String>) -> Self {
        Self {
            reason,
            cause: cause.into(),
            retry: Retry::Never,
            message: None,
        }
    }

    /// Allows a retry.
    #[must_use]
    pub fn with_retry(self, after: Option<RetryAfter>) -> Self {
        Self {
            retry: Retry::Possible(after),
            ..self
        }
    }
}

/// When to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this time.
    Span(Duration),
    /// At this time.
    Time(Timestamp),
}

/// A user's message with what the backend needs to reply to it.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The turn's id, the same for each attempt.
    pub turn_id: TurnId,
    /// The session.
    pub session: Session,
    /// The earlier messages that the backend wants.
    pub history: History,
    /// The user's message.
    pub message: Message,
    /// The id of the remote session, if the backend wants it and one is stored.
    pub remote_session: Option<String>,
    /// Where the backend reports received bytes; a new one for each attempt.
    pub progress: BodyProgress,
    /// The attempt, which the turn runner sets.
    pub attempt: Attempt,
    /// The trace that the turn belongs to, which the turn runner sets.
    pub trace: Option<TraceParent>,
}

impl TurnRequest {
    /// Adds the trace to a request to the server behind the agent.
    pub(super) fn traced(&self, request: RequestBuilder) -> RequestBuilder {
        match self.trace {
            Some(trace) => request.header("traceparent", trace.to_string()),
            None => request,
        }
    }
}

/// An attempt to get the reply of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its number within the turn, from 1; from 1 again after a restart of the server.
    pub number: u32,
    /// When it began.
    pub at: Timestamp,
    /// When the time of the turn is over.
    pub deadline: Timestamp,
}

impl Attempt {
    /// Returns the first attempt of a turn.
    #[must_use]
    pub fn first(at: Timestamp, timeout: Duration) -> Self {
        Self {
            number: 1,
            at,
            deadline: at + timeout.into(),
        }
    }
}

/// Reports that bytes of an answer's body arrive.
#[derive(Debug, Clone, Default)]
pub struct BodyProgress(Arc<ProgressState>);

#[derive(Debug, Default)]
struct ProgressState {
    arrived: Notify,
    /// Whether another request was sent and no bytes of its answer have arrived.
    is_restarted: AtomicBool,
}

impl BodyProgress {
    /// Reports that bytes have arrived.
    pub fn bytes_arrived(&self) {
        self.0.is_restarted.store(false, Ordering::Release);
        self.0.arrived.notify_one();
    }

    /// Reports that the current answer is dropped for another request.
    pub(super) fn restart(&self) {
        self.0.is_restarted.store(true, Ordering::Release);
    }

    /// Returns whether no bytes have arrived since the last restart.
    pub(super) fn is_restarted(&self) -> bool {
        self.0.is_restarted.load(Ordering::Acquire)
    }

    /// Waits until bytes arrive, unless some have arrived since the last call.
    pub(super) async fn next(&self) {
        self.0.arrived.notified().await;
    }
}

/// Where the replies of a backend come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplySource {
    /// From the backend.
    Backend,
    /// From the backend or a submission.
    Either,
    /// From a submission.
    Submission,
}

/// Replies for an agent.
pub trait Backend: Debug + Send + Sync {
    /// Returns its name in `settings.backend.type`.
    fn kind(&self) -> &'static str;

    /// Returns the address of the server behind it: scheme, host, port and path, never user
    /// information or a query. `None` if there is no such server.
    fn address(&self) -> Option<String> {
        None
    }

    /// Returns the model that it requests, if it names one.
    fn model(&self) -> Option<&str> {
        None
    }

    /// Returns warnings for operators about settings that have another effect than they seem to.
    fn warnings(&self) -> &[String] {
        &[]
    }

    /// Returns what it needs beside the message.
    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds::default()
    }

    /// Returns where its replies come from.
    fn reply_source(&self) -> ReplySource {
        ReplySource::Backend
    }

    /// Returns how many turns run at the same time unless the character file says otherwise.
    fn concurrency(&self) -> usize {
        8
    }

    /// Replies to a message. A stream that ends without one of the last items has failed. Dropping
    /// the stream cancels the request.
    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream;

    /// Renews a remote session; `None` for backends without such sessions. The call returns how
    /// long it lives without another renewal, if its server says so.
    fn renew(&self, _remote: String) -> Option<RemoteCall<Option<Duration>>> {
        None
    }

    /// Deletes a remote session; `None` for backends without such sessions.
    fn delete(&self, _remote: String) -> Option<RemoteCall<()>> {
        None
    }
}
