//! The errors of use cases.

use serde_json::json;

use super::{ApiError, echo, kinds};
use crate::api::dto;
use crate::app::error::{AppError, NO_SPACE, NoReply, NoReplyReason, Unavailable, ValidationError};
use crate::auth::rate::TooMany;
use crate::domain::error::{Refusal, RenewalRefused};
use crate::domain::message::{Role, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::timeout::InvalidTimeout;

/// How long a client is told to wait, in seconds.
const RETRY_AFTER: u64 = 1;

/// The call in which an error happened, where that decides the code of a 500.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) enum Call {
    /// Creating a session.
    Create,
    /// Sending a message.
    Send,
    /// Any other.
    Other,
}

impl ApiError {
    /// Input that breaks a rule. The reason is in the message, since many clients show nothing
    /// else.
    fn invalid(name: &'static str, what: &str, reason: &str) -> Self {
        let message = format!("Invalid {what}: {reason}");
        Self::with_message(kinds::invalid(name), message).text(reason)
    }

    /// The error of a use case.
    pub(in crate::api) fn of(error: AppError, call: Call) -> Self {
        match error {
            AppError::Invalid(invalid) => Self::from(invalid),
            AppError::UnknownSession(path) => session_not_found(&echo(&path)),
            AppError::Forbidden(reason) => Self::forbidden(reason),
            AppError::TooMany(TooMany { retry_after }) => {
                Self::too_many(retry_after).text(format!("Try again in {retry_after} s"))
            }
            AppError::Refused(refusal) => Self::from(refusal),
            AppError::Unavailable(reason) => reason.into(),
            AppError::OutcomeUnknown => internal(call)
                .text(
                    "The server cannot tell whether this was stored; a retry with the same \
                     idempotency key is safe",
                )
                .detail("outcome", "unknown"),
            AppError::Internal => internal(call),
            AppError::NoReply(no_reply) => Self::from(*no_reply),
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        Self::of(error, Call::Other)
    }
}

impl From<ValidationError> for ApiError {
    fn from(invalid: ValidationError) -> Self {
        match invalid {
            ValidationError::Uuid { field, value } => {
                let reason = format!("{field} must be a UUID of 8-4-4-4-12 hex digits");
                let error = Self::invalid("InvalidUuidError", "UUID format", &reason)
                    .detail("field", field);
                match value {
                    Some(value) => error.detail("value", echo(&value)),
                    None => error,
                }
            }
            ValidationError::MissingFields(fields) => {
                let names = fields.join(", ");
                let message = format!("Missing required fields: {names}");
                Self::with_message(kinds::invalid("MissingFieldsError"), message)
                    .detail("missingFields", fields)
            }
            ValidationError::Content { field, reason } => {
                Self::invalid("InvalidContentError", field, &reason).detail("reason", reason)
            }
            ValidationError::Metadata(reason) => {
                Self::invalid("InvalidMetadataError", "metadata", &reason)
                    .detail("reason", reason)
                    .detail("maxBytes", crate::domain::message::MAX_METADATA_BYTES)
            }
            ValidationError::Pagination {
                parameter,
                value,
                reason,
            } => Self::invalid("InvalidPaginationError", parameter, &reason)
                .detail("parameter", parameter)
                .detail("value", echo(&value))
                .detail("reason", reason),
            ValidationError::Timeout(invalid) => {
                let InvalidTimeout { field, reason } = invalid;
                Self::invalid("InvalidTimeoutConfigError", field, &reason)
                    .detail("reason", reason)
                    .detail("field", field)
            }
            ValidationError::Body(reason) => {
                Self::invalid("InvalidBodyError", "request", &reason).detail("reason", reason)
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::SessionNotFound(id) => session_not_found(&id.to_string()),
            Refusal::SessionExpired {
                session_id,
                expires_at,
            } => session_expired(&session_id.to_string(), expires_at),
            Refusal::RenewalRefused(refused) => renewal_refused(&refused),
            Refusal::InvalidTimeout(invalid) => ValidationError::Timeout(invalid).into(),
            Refusal::AgentNotFound(id) => Self::agent_not_found(&id.to_string()),
            Refusal::IdempotencyConflict { key } => {
                Self::new(kinds::IDEMPOTENCY_CONFLICT).detail("key", key)
            }
            Refusal::SessionBusy { limit } => Self::too_many(RETRY_AFTER).text(format!(
                "At most {limit} messages of a session can wait for a reply"
            )),
            Refusal::TooManySessions { limit, left, .. } => {
                let seconds = u64::try_from(left.0).unwrap_or(0).div_ceil(1000).max(1);
                Self::too_many(seconds)
                    .text(format!("A user can have at most {limit} active sessions"))
            }
            Refusal::ServerBusy => Unavailable::Overloaded.into(),
        }
    }
}

impl From<NoReply> for ApiError {
    fn from(no_reply: NoReply) -> Self {
        let is_replayed = no_reply.replayed;
        Self {
            is_replayed,
            ..Self::of_no_reply(no_reply)
        }
    }
}

impl ApiError {
    fn of_no_reply(no_reply: NoReply) -> Self {
        let NoReply {
            agent_id,
            session,
            mut message,
            client_message_id,
            reason,
            ..
        } = no_reply;
        let failed = match &reason {
            NoReplyReason::Failed(failure) => Some(failure.clone()),
            _ => None,
        };
        // It was read when it was sent, and shows how its turn has ended since.
        if let (Some(failure), Role::User { turn, .. }) = (&failed, &mut message.role) {
            *turn = TurnState::Failed(failure.clone());
        }
        let name = client_message_id.as_deref();
        let user_message = json!(dto::UserMessage::new(&session, &message, name));
        let is_pending = reason == NoReplyReason::StillPending;
        let error = match (reason, failed.as_ref().map(|failure| failure.code.as_str())) {
            (NoReplyReason::ShuttingDown, _) => {
                return Self::from(Unavailable::ShuttingDown)
                    .text("The message was kept; its reply will come after the next start")
                    .detail("userMessage", user_message);
            }
            (_, Some("SESSION_EXPIRED")) => {
                return session_expired(&session.id.to_string(), session.expires_at)
                    .detail("userMessage", user_message);
            }
            (NoReplyReason::StillPending, _) | (_, Some("AGENT_TIMEOUT")) => {
                Self::new(kinds::AGENT_TIMEOUT)
            }
            _ => Self::new(kinds::AGENT_ERROR),
        };
        let error = match failed {
            Some(failure) => error.text(failure.message),
            None => error.text("The message was kept and its reply is still to come"),
        };
        error
            .detail("agentId", agent_id.to_string())
            .detail("userMessage", user_message)
            .detail("pending", is_pending)
    }
}

fn session_not_found(id: &str) -> ApiError {
    ApiError::new(kinds::SESSION_NOT_FOUND)
        .text(format!("There is no session {id}"))
        .detail("sessionId", id)
}

fn session_expired(id: &str, expires_at: Timestamp) -> ApiError {
    ApiError::new(kinds::SESSION_EXPIRED)
        .text(format!("Session {id} expired at {expires_at}"))
        .detail("sessionId", id)
        .detail("expiresAt", expires_at.to_string())
}

fn renewal_refused(refused: &RenewalRefused) -> ApiError {
    let reason = format!(
        "The session already lasts as long as it can, {} minutes from its creation",
        refused.max_duration_minutes
    );
    ApiError::new(kinds::SESSION_RENEWAL_FAILED)
        .text(reason.clone())
        .detail("sessionId", refused.session_id.to_string())
        .detail("reason", reason)
        .detail("maxDurationMinutes", refused.max_duration_minutes)
        .detail("createdAt", refused.created_at.to_string())
        .detail("timeSinceCreation", refused.age.0)
}

impl From<Unavailable> for ApiError {
    fn from(reason: Unavailable) -> Self {
        let (reason, text) = match reason {
            Unavailable::Overloaded => ("overloaded", "The server has too much to do; try again"),
            Unavailable::ShuttingDown => ("shutting down", "The server is stopping; try again"),
            Unavailable::Storage => ("storage", "The server's database cannot be used at present"),
            Unavailable::NoSpace => ("storage", NO_SPACE),
        };
        ApiError::new(kinds::SERVICE_UNAVAILABLE)
            .text(text)
            .detail("reason", reason)
            .retry_after(RETRY_AFTER)
    }
}

fn internal(call: Call) -> ApiError {
    ApiError::new(match call {
        Call::Create => kinds::SESSION_CREATION_FAILED,
        Call::Send => kinds::MESSAGE_SEND_FAILED,
        Call::Other => kinds::INTERNAL_SERVER_ERROR,
    })
    .text("The server failed; its log has more")
}
