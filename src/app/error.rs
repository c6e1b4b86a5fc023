//! Why a call fails, whatever it came by. What a client is told stands with each interface.

use crate::auth::rate::TooMany;
use crate::domain::error::Refusal;
use crate::domain::id::AgentId;
use crate::domain::message::{InvalidMessage, Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::timeout::InvalidTimeout;
use crate::store::error::{ReadError, SubmitError};

/// Why a call fails. It is displayed as a sentence for the client.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The input breaks a rule.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The session's path does not even name one.
    #[error("Session not found")]
    UnknownSession(String),
    /// The caller may not do it, and why.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The caller has done it too often.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The rules refuse it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server cannot do it at present; nothing was written.
    #[error(transparent)]
    Unavailable(Unavailable),
    /// A commit failed half-way: it may or may not be stored.
    #[error("The server cannot tell whether this was stored; a retry with the same id is safe")]
    OutcomeUnknown,
    /// What is stored is damaged, or the server is at fault.
    #[error("Internal server error")]
    Internal,
    /// The message was kept, but its reply does not come on this call.
    #[error("The agent did not reply")]
    NoReply(Box<NoReply>),
}

/// What there is to say where there is no free space.
pub const NO_SPACE: &str = "The server's disk has no free space for this; reads and deletions work";

/// Input that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// A field that is no UUID.
    #[error("{field} must be a UUID")]
    Uuid {
        /// The field.
        field: &'static str,
        /// What was given, where it was a string.
        value: Option<String>,
    },
    /// Fields that are missing, null or empty.
    #[error("Missing: {}", .0.join(", "))]
    MissingFields(Vec<&'static str>),
    /// A field of a message but its metadata.
    #[error("{reason}")]
    Content {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Metadata.
    #[error("{0}")]
    Metadata(String),
    /// A parameter of a page.
    #[error("{reason}")]
    Pagination {
        /// Which.
        parameter: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A timeout setting.
    #[error(transparent)]
    Timeout(#[from] InvalidTimeout),
    /// The body as a whole, or the idempotency key.
    #[error("{0}")]
    Body(String),
}

/// Why the server cannot do something at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Too much is waiting.
    #[error("The server has too much to do; try again")]
    Overloaded,
    /// It is stopping.
    #[error("The server is stopping")]
    ShuttingDown,
    /// The database fails.
    #[error("The server's database cannot be used at present")]
    Storage,
    /// There is no free space for it.
    #[error("{NO_SPACE}")]
    NoSpace,
}

/// A kept message without its reply.
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

/// Why a kept message has no reply on this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoReplyReason {
    /// The turn was closed without one.
    Failed(TurnFailure),
    /// The caller's time is over while the turn still stands.
    StillPending,
    /// The server is stopping; the turn goes on at its next start.
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
                tracing::error!(%error, "a command met with a damaged record");
                Self::Internal
            }
        }
    }
}

impl From<InvalidTimeout> for AppError {
    fn from(invalid: InvalidTimeout) -> Self {
        Self::Invalid(invalid.into())
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
