//! Why a call fails, whatever it came by. What a client is told stands with each interface.

use crate::domain::error::Refusal;
use crate::domain::id::AgentId;
use crate::domain::message::{InvalidMessage, Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::timeout::InvalidTimeout;
use crate::guard::rate::TooMany;
use crate::store::error::{ReadError, SubmitError};

/// Why a call fails.
#[derive(Debug)]
pub enum AppError {
    /// The input breaks a rule.
    Invalid(ValidationError),
    /// The session's path does not even name one.
    UnknownSession(String),
    /// The caller may not do it, and why.
    Forbidden(&'static str),
    /// The caller has done it too often.
    TooMany(TooMany),
    /// The rules refuse it.
    Refused(Refusal),
    /// The server cannot do it at present; nothing was written.
    Unavailable(Unavailable),
    /// A commit failed half-way: it may or may not be stored.
    OutcomeUnknown,
    /// What is stored is damaged, or the server is at fault.
    Internal,
    /// The message was kept, but its reply does not come on this call.
    NoReply(Box<NoReply>),
}

/// What there is to say where there is no free space.
pub const NO_SPACE: &str = "The server's disk has no free space for this; reads and deletions work";

/// Input that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValidationError {
    /// A field that is no UUID.
    Uuid {
        /// The field.
        field: &'static str,
        /// What was given, where it was a string.
        value: Option<String>,
    },
    /// Fields that are missing, null or empty.
    MissingFields(Vec<&'static str>),
    /// A field of a message but its metadata.
    Content {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Metadata.
    Metadata(String),
    /// A parameter of a page.
    Pagination {
        /// Which.
        parameter: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        reason: String,
    },
    /// A timeout setting.
    Timeout(InvalidTimeout),
    /// The body as a whole, or the idempotency key.
    Body(String),
}

/// Why the server cannot do something at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// Too much is waiting.
    Overloaded,
    /// It is stopping.
    ShuttingDown,
    /// The database fails.
    Storage,
    /// There is no free space for it.
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

impl std::fmt::Display for AppError {
    /// The error in a sentence for the client.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::UnknownSession(_) | Self::Refused(Refusal::SessionNotFound(_)) => {
                f.write_str("Session not found")
            }
            Self::Forbidden(reason) => f.write_str(reason),
            Self::TooMany(TooMany { retry_after }) => {
                write!(f, "Too many requests; try again in {retry_after} s")
            }
            Self::Refused(refusal) => refusal_in_words(refusal, f),
            Self::Unavailable(Unavailable::Overloaded) => {
                f.write_str("The server has too much to do; try again")
            }
            Self::Unavailable(Unavailable::ShuttingDown) => f.write_str("The server is stopping"),
            Self::Unavailable(Unavailable::Storage) => {
                f.write_str("The server's database cannot be used at present")
            }
            Self::Unavailable(Unavailable::NoSpace) => f.write_str(NO_SPACE),
            Self::OutcomeUnknown => f.write_str(
                "The server cannot tell whether this was stored; a retry with the same id is safe",
            ),
            Self::Internal => f.write_str("Internal server error"),
            Self::NoReply(_) => f.write_str("The agent did not reply"),
        }
    }
}

impl std::fmt::Display for ValidationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uuid { field, .. } => write!(f, "{field} must be a UUID"),
            Self::MissingFields(fields) => write!(f, "Missing: {}", fields.join(", ")),
            Self::Metadata(reason)
            | Self::Body(reason)
            | Self::Content { reason, .. }
            | Self::Pagination { reason, .. }
            | Self::Timeout(InvalidTimeout { reason, .. }) => f.write_str(reason),
        }
    }
}

fn refusal_in_words(refusal: &Refusal, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match refusal {
        Refusal::SessionNotFound(_) => f.write_str("Session not found"),
        Refusal::SessionExpired { .. } => f.write_str("Session has expired"),
        Refusal::RenewalRefused(_) => f.write_str("Session cannot be renewed"),
        Refusal::InvalidTimeout(invalid) => f.write_str(&invalid.reason),
        Refusal::AgentNotFound(_) => f.write_str("Agent not found"),
        Refusal::IdempotencyConflict { .. } => {
            f.write_str("The message's id was used with another body")
        }
        Refusal::SessionBusy { limit } => {
            write!(
                f,
                "At most {limit} messages of a session can wait for a reply"
            )
        }
        Refusal::TooManySessions { limit, .. } => {
            write!(f, "A user can have at most {limit} active sessions")
        }
        Refusal::ServerBusy => f.write_str("The server has too much to do; try again"),
    }
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

impl From<TooMany> for AppError {
    fn from(too_many: TooMany) -> Self {
        Self::TooMany(too_many)
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ValidationError> for AppError {
    fn from(invalid: ValidationError) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<InvalidTimeout> for AppError {
    fn from(invalid: InvalidTimeout) -> Self {
        Self::Invalid(invalid.into())
    }
}

impl From<InvalidTimeout> for ValidationError {
    fn from(invalid: InvalidTimeout) -> Self {
        Self::Timeout(invalid)
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
