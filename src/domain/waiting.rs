//! Turns that wait for a submitted reply, and how they stop waiting.

use super::failure::FailureReason;
use super::id::{MessageId, SessionId, TurnId};
use super::key::{IdempotencyKey, RequestDigest};
use super::message::TurnState;
use super::time::Timestamp;

/// The position of a waiting turn among those of its agent: the oldest message first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WaitingPosition {
    /// When the user's message was stored.
    pub message_at: Timestamp,
    /// The session.
    pub session_id: SessionId,
}

/// Why a turn no longer waits for a submitted reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedReason {
    /// A reply or an error was submitted.
    Answered,
    /// A client cancelled it, or the server asks the agent itself.
    Cancelled,
    /// Its session expired and was removed.
    Expired,
    /// Its session was deleted.
    Deleted,
    /// Its deadline passed.
    Timeout,
}

impl ClosedReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::Answered,
        Self::Cancelled,
        Self::Expired,
        Self::Deleted,
        Self::Timeout,
    ];

    /// Returns the name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Timeout => "timeout",
        }
    }

    /// Returns why a turn in this state does not wait for a submitted reply.
    #[must_use]
    pub fn from_state<T>(state: &TurnState<T>) -> Self {
        match state {
            TurnState::Open | TurnState::Copied => Self::Cancelled,
            TurnState::Replied(_) => Self::Answered,
            TurnState::Failed(failure) => match failure.reason {
                Some(FailureReason::Timeout) => Self::Timeout,
                Some(FailureReason::Expired) => Self::Expired,
                // The agent submitted this itself.
                Some(FailureReason::Refused) => Self::Answered,
                _ => Self::Cancelled,
            },
        }
    }
}

/// The turns of a session that a submission closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnSelector {
    /// Exactly the turn with this id.
    Turn(TurnId),
    /// The turn of this user message, if the agent was asked.
    Message(MessageId),
    /// All that wait for a submitted reply.
    Waiting,
}

impl TurnSelector {
    /// Returns what a submission with these ids selects: the turn overrides the message.
    #[must_use]
    pub fn new(turn_id: Option<TurnId>, in_reply_to: Option<MessageId>) -> Self {
        match (turn_id, in_reply_to) {
            (Some(turn_id), _) => Self::Turn(turn_id),
            (None, Some(message_id)) => Self::Message(message_id),
            (None, None) => Self::Waiting,
        }
    }
}

/// A submitted error that closed turns, as its idempotency key retains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedError {
    /// The key.
    pub key: IdempotencyKey,
    /// The message for the user.
    pub message: String,
    /// The metadata that was sent with it: the text of a JSON object.
    pub metadata: Option<String>,
    /// The attachments that were sent with it: the text of a JSON array.
    pub attachments: Option<String>,
    /// The thought that was sent with it.
    pub thought: Option<String>,
    /// The actions that were sent with it: the text of a JSON array.
    pub actions: Option<String>,
    /// The digest of the session metadata that was sent with it.
    pub session_metadata: Option<RequestDigest>,
    /// The user messages whose turns it closed, oldest first.
    pub failed: Vec<MessageId>,
}
