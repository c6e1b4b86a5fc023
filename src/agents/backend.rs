//! What answers for an agent.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::Stream;
use tokio::sync::Notify;

use super::about::About;
use crate::domain::id::TurnId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::{History, Reply, Wants};

/// A reply as it comes: pieces of text, then the whole, or a failure in its place.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Piece, BackendError>> + Send>>;

/// A call about a session that the server behind an agent has for one of ours.
pub type RemoteCall<T> = BoxFuture<'static, Result<T, BackendError>>;

/// A part of what a backend answers.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Some text of a reply that is still coming.
    Chunk(String),
    /// The reply as it is to be stored; the last piece. Where its text was not told before, it is
    /// told in pieces, each of which ends at one of these places or at the text's own end.
    Done(Reply, Vec<usize>),
    /// What is known by now of how the reply is made, for the case that it does not come to its end.
    About(About),
    /// The reply is to be submitted by somebody; the last piece.
    Later,
    /// The name that the server behind has for the session, to be kept with it.
    Upstream(String),
}

impl Piece {
    /// A reply that has no pieces of its own.
    #[must_use]
    pub fn done(reply: Reply) -> Self {
        Self::Done(reply, Vec::new())
    }
}

/// Why a backend gave no reply. The text is for the log, never for the client, and has neither
/// keys nor anything of the conversation in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// It may answer when it is asked again.
    #[error("{detail}")]
    Transient {
        /// What it said.
        detail: String,
        /// When it wants to be asked again, if it said so.
        retry_after: Option<RetryAfter>,
    },
    /// It has been silent for too long in the middle of its answer.
    #[error("{0}")]
    TimedOut(String),
    /// It will not.
    #[error("{0}")]
    Final(String),
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so long.
    Span(Duration),
    /// Not before then.
    Time(Timestamp),
}

/// What a backend is asked.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The turn, the same however often it is tried.
    pub turn_id: TurnId,
    /// The session, which names the agent and the user.
    pub session: Session,
    /// What was said before, as much of it as the backend wants.
    pub history: History,
    /// The user's message.
    pub message: Message,
    /// The name that the server behind has for the session, where the backend wants it.
    pub upstream: Option<String>,
    /// What the backend tells of the bytes that it receives. Each attempt has its own.
    pub progress: Progress,
}

/// Tells whoever waits for an answer that bytes of its body arrive, whatever they are.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<ProgressState>);

#[derive(Debug, Default)]
struct ProgressState {
    arrived: Notify,
    /// Whether a further request was sent, to which no bytes have come yet.
    has_begun_again: AtomicBool,
}

impl Progress {
    /// Notes that some bytes have arrived.
    pub fn bytes_arrived(&self) {
        self.0.has_begun_again.store(false, Ordering::Release);
        self.0.arrived.notify_one();
    }

    /// Notes that the answer which had begun is given up for another one.
    pub(super) fn begin_again(&self) {
        self.0.has_begun_again.store(true, Ordering::Release);
    }

    /// Whether no byte of the present answer's body has arrived, after an earlier one had begun.
    pub(super) fn has_begun_again(&self) -> bool {
        self.0.has_begun_again.load(Ordering::Acquire)
    }

    /// Waits until bytes arrive, or have arrived since the last call.
    pub(super) async fn next(&self) {
        self.0.arrived.notified().await;
    }
}

/// Where the replies of a backend come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// From the backend itself.
    Itself,
    /// From the backend, or by a submit.
    Either,
    /// By a submit alone.
    BySubmit,
}

/// Answers for an agent.
pub trait Backend: Debug + Send + Sync {
    /// Its name, as in a character file's `settings.backend.type`.
    fn kind(&self) -> &'static str;

    /// What it wants to know beside the message.
    fn wants(&self) -> Wants {
        Wants::default()
    }

    /// Where its replies come from.
    fn answering(&self) -> Answering {
        Answering::Itself
    }

    /// How many turns it runs at once, unless the character file says otherwise.
    fn concurrency(&self) -> usize {
        8
    }

    /// Answers a message. A stream that ends without a last piece has failed; one that is dropped
    /// is called off.
    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream;

    /// Renews the session that the server behind has by this name; none where there is no such
    /// thing. Returns how long the session lives unless it is renewed again, where that server
    /// says so.
    fn renew(&self, _remote: String) -> Option<RemoteCall<Option<Duration>>> {
        None
    }

    /// Deletes the session that the server behind has by this name; none where there is no such
    /// thing.
    fn delete(&self, _remote: String) -> Option<RemoteCall<()>> {
        None
    }
}
