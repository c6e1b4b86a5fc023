//! What an export holds: all that a session needs to come back whole.

use super::id::SessionId;
use super::key::IdempotencyKey;
use super::message::Message;
use super::session::Session;
use super::time::Timestamp;
use super::timeout::TimeoutOverrides;
use super::turn::OpenTurn;

/// A piece of an export. A session comes first, then what belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A session.
    Session(ArchivedSession),
    /// A message of the session before it.
    Message(ArchivedMessage),
    /// A record that could not be decoded.
    Quarantined(Quarantined),
    /// The session before it was deleted while it was exported: what stands there of it is void.
    Deleted(SessionId),
}

/// A session with its claim of the key that made it, while that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedSession {
    /// The session.
    pub session: Session,
    /// The claim.
    pub claim: Option<Claim>,
    /// What the server behind the agent calls the session.
    pub upstream: Option<String>,
}

/// A claim of an idempotency key on a create.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// When it was made.
    pub created_at: Timestamp,
    /// The timeouts that the request asked for.
    pub timeout: TimeoutOverrides,
}

/// A message with the keys that name it and, where its turn is open, that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// The message.
    pub message: Message,
    /// The keys: of its send, or, of an agent's message, of its submit.
    pub keys: Vec<IdempotencyKey>,
    /// The turn.
    pub turn: Option<OpenTurn>,
}

/// A record that could not be decoded and was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Whose it is; nil where that is not known.
    pub owner: SessionId,
    /// Which of the owner's records.
    pub place: String,
    /// Why it cannot be decoded.
    pub reason: String,
    /// When that was found.
    pub found_at: Timestamp,
    /// When the session expires, where the record was the session's own.
    pub expires_at: Option<Timestamp>,
    /// The record.
    pub bytes: Vec<u8>,
}
