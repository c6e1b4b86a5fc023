//! What answers for an agent.

use std::fmt::Debug;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt};

use super::eliza;
use crate::domain::id::{AgentId, SessionId, TurnId, UserId};
use crate::domain::message::Message;
use crate::domain::turn::{Exchange, Reply};

/// A reply as it comes: pieces of text, then the whole, or a failure in its place.
pub type ReplyStream = Pin<Box<dyn Stream<Item = Result<Piece, BackendError>> + Send>>;

/// A part of what a backend answers.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Some text of a reply that is still coming.
    Chunk(String),
    /// The reply as it is to be stored; the last piece.
    Done(Reply),
}

/// Why a backend gave no reply. The text is for the log, never for the client.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub String);

/// What a backend is asked.
#[derive(Debug, Clone)]
pub struct TurnRequest {
    /// The turn, the same however often it is tried.
    pub turn_id: TurnId,
    /// The session.
    pub session_id: SessionId,
    /// The agent that is to answer.
    pub agent_id: AgentId,
    /// The user who asks.
    pub user_id: UserId,
    /// The earlier turns, oldest first, as many as the backend wants.
    pub history: Vec<Exchange>,
    /// The user's message.
    pub message: Message,
}

/// Answers for an agent.
pub trait Backend: Debug + Send + Sync {
    /// Its name, as in a character file's `settings.backend.type`.
    fn kind(&self) -> &'static str;

    /// How many earlier turns it wants to see.
    fn history_limit(&self) -> usize;

    /// Answers a message. A stream that ends without [`Piece::Done`] has failed.
    fn reply(&self, request: TurnRequest) -> ReplyStream;
}

/// The rule engine in the binary.
#[derive(Debug, Clone, Copy)]
pub struct Eliza;

impl Backend for Eliza {
    fn kind(&self) -> &'static str {
        "eliza"
    }

    fn history_limit(&self) -> usize {
        50
    }

    fn reply(&self, request: TurnRequest) -> ReplyStream {
        let earlier: Vec<&str> = request
            .history
            .iter()
            .map(|exchange| exchange.message.body.content.as_str())
            .collect();
        let text = eliza::respond(&earlier, &request.message.body.content);
        let mut pieces: Vec<_> = eliza::chunks(&text)
            .map(|chunk| Ok(Piece::Chunk(chunk.to_owned())))
            .collect();
        pieces.push(Ok(Piece::Done(Reply::text(text))));
        stream::iter(pieces).boxed()
    }
}
