//! Errors of the use cases. `api` and `realtime` define what clients see of them.

use crate::auth::rate::RateLimitExceeded;
use crate::domain::error::RuleViolation;
use crate::domain::id::AgentId;
use crate::domain::message::{InvalidMessage, Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::timeout::InvalidTimeout;
use crate::store::error::{ReadError, SubmitError};

/// An error of a use case. Its display text is a sentence for the client.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The input is invalid.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The session id in the path is not a UUID.
    #[error("Session not found")]
    UnknownSession(String),
    /// The client is not allowed to do this, with the reason.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The client has reached a rate limit.
    #[error(transparent)]
    RateLimitExceeded(#[from] RateLimitExceeded),
    /// A rule of the domain is violated.
    #[error(transparent)]
    Refused(#[from] RuleViolation),
    /// The server cannot do this now; nothing was written.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// A commit failed: the write may or may not be stored.
    #[error("The server cannot tell whether this was stored; a retry with the same id is safe")]
    OutcomeUnknown,
    /// Stored data is damaged, or the server has a bug.
    #[error("Internal server error")]
    Internal,
    /// The message was stored, but its reply does not come with this call.
    #[error("The agent did not reply")]
    NoReply(Box<NoReply>),
}

/// The message for a write that finds no free space.
pub const NO_SPACE: &str = "The server's disk has no free space for this; reads and deletions work";

/// Invalid input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// A field is not a UUID.
    #[error("{field} must be a UUID of 8-4-4-4-12 hex digits")]
    Uuid {
        /// The field.
        field: &'static str,
        /// The value, if it was a string.
        value: Option<String>,
    },
    /// A UUID was given more than once.
    #[error("{field} must be given exactly once")]
    RepeatedUuid {
        /// The field.
        field: &'static str,
        /// The values.
        value: String,
    },
    /// Required fields are missing, null or empty.
    #[error("Missing required fields: {}", .0.join(", "))]
    MissingFields(Vec<&'static str>),
    /// A field of a message, except its metadata, is invalid.
    #[error("{reason}")]
    Content {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Metadata is invalid, with the reason and what is allowed.
    #[error("{0}")]
    Metadata(String),
    /// A pagination parameter is invalid.
    #[error("{reason}")]
    Pagination {
        /// Its name.
        parameter: &'static str,
        /// The value as sent.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A timeout is invalid.
    #[error(transparent)]
    Timeout(#[from] InvalidTimeout),
    /// The body as a whole, or the idempotency key, is invalid.
    #[error("{0}")]
    Body(String),
}

/// Why the server cannot do something now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// A queue is full.
    #[error("The server is overloaded; try again")]
    Overloaded,
    /// The server is stopping.
    #[error("The server is stopping; try again")]
    ShuttingDown,
    /// The database failed.
    #[error("The database is not available at present")]
    Storage,
    /// The disk is full.
    #[error("{NO_SPACE}")]
    NoSpace,
}

/// A stored message without its reply.
#[derive(Debug)]
pub struct NoReply {
    /// The agent.
    pub agent_id: AgentId,
    /// The session.
    pub session: Session,
    /// The message.
    pub message: Message,
    /// The `clientMessageId` that came with it.
    pub client_message_id: Option<String>,
    /// Whether an earlier call with the same key stored it.
    pub replayed: bool,
    /// Why there is no reply.
    pub reason: NoReplyReason,
}

/// Why a stored message has no reply with this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReplyReason {
    /// The turn was closed without a reply.
    Failed(TurnFailure),
    /// The wait timed out while the turn is open.
    StillPending,
    /// The server is stopping; the turn resumes at its next start.
    ShuttingDown,
}

impl From<ReadError> for AppError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Record(_) => Self::Internal,
            ReadError::Closed => Self::Unavailable(Unavailable::Storage),
            ReadError::Storage(error) => {
                tracing::error!(%error, "a read failed");
                Self::Unavailable(Unavailable::Storage)
            }
        }
    }
}

impl From<SubmitError> for AppError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => Self::Refused(refusal),
            SubmitError::Overloaded => Self::Unavailable(Unavailable::Overloaded),
            SubmitError::Closed => Self::Unavailable(Unavailable::ShuttingDown),
            SubmitError::Storage => Self::Unavailable(Unavailable::Storage),
            SubmitError::NoRoom => Self::Unavailable(Unavailable::NoSpace),
            SubmitError::OutcomeUnknown => Self::OutcomeUnknown,
            SubmitError::Record(error) => {
                tracing::error!(%error, "a command read a damaged record");
                Self::Internal
            }
        }
    }
}

impl From<InvalidMessage> for ValidationError {
    fn from(invalid: InvalidMessage) -> Self {
        match invalid {
            InvalidMessage::Content { field, reason } => Self::Content { field, reason },
            InvalidMessage::Metadata(reason) => Self::Metadata(reason),
        }
    }
}
