//! The items of an export: everything that an import needs to restore a session.

use super::id::SessionId;
use super::key::{IdempotencyKey, RequestDigest};
use super::message::Message;
use super::session::Session;
use super::time::Timestamp;
use super::turn::OpenTurn;
use super::waiting::SubmittedError;

/// An item of an export. A session comes before its messages.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A session.
    Session(ArchivedSession),
    /// A message of the preceding session.
    Message(ArchivedMessage),
    /// A record that could not be decoded.
    Quarantined(Quarantined),
    /// The preceding session was deleted during the export: discard its items.
    Deleted(SessionId),
}

/// A session with its creation's idempotency key, while a retry is recognized by it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedSession {
    /// The session.
    pub session: Session,
    /// The use of the key.
    pub create_key_use: Option<CreateKeyUse>,
    /// The id of the remote session, at the server behind the agent.
    pub remote_session: Option<String>,
}

/// The use of an idempotency key by a creation.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateKeyUse {
    /// When the key was used.
    pub created_at: Timestamp,
    /// The digest of the request.
    pub digest: RequestDigest,
}

/// A message with its idempotency keys and its open turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedMessage {
    /// The message.
    pub message: Message,
    /// The keys: of its send, or of its submits if the agent is its author.
    pub keys: Vec<ArchivedKey>,
    /// The turn, while it is open.
    pub turn: Option<OpenTurn>,
    /// The submitted errors under a key, if this is the newest message whose turn they closed.
    pub errors: Vec<SubmittedError>,
}

/// The idempotency key of a send or a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedKey {
    /// The key.
    pub key: IdempotencyKey,
    /// The digest of the session metadata that was submitted with it.
    pub session_metadata: Option<RequestDigest>,
}

/// A record that could not be decoded and was moved out of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The session of the record; nil if unknown.
    pub owner: SessionId,
    /// The table and key of the record.
    pub location: String,
    /// Why it cannot be decoded.
    pub reason: String,
    /// When it was found.
    pub found_at: Timestamp,
    /// When the session expires, if the record is the session itself.
    pub expires_at: Option<Timestamp>,
    /// The record.
    pub bytes: Vec<u8>,
}
