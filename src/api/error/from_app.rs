//! Errors of use cases.

use serde_json::json;

use super::api_error::{ApiError, echo};
use super::kinds;
use crate::api::dto::UserMessage;
use crate::app::error::{AppError, NoReply, NoReplyReason, Unavailable, ValidationError};
use crate::auth::rate::RateLimitExceeded;
use crate::domain::error::{RenewalRefused, RuleViolation};
use crate::domain::failure::FailureReason;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{MAX_METADATA_BYTES, Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::timeout::InvalidTimeout;
use crate::domain::waiting::ClosedReason;

/// The `Retry-After` of errors that may pass at any time, in seconds.
const RETRY_AFTER: u64 = 1;

/// The call that failed. It decides the code of a 500.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) enum Call {
    Create,
    Send,
    Other,
}

impl ApiError {
    pub(in crate::api) fn from_app(error: AppError, call: Call) -> Self {
        match error {
            AppError::Invalid(invalid) => invalid.into(),
            AppError::UnknownSession(path) => session_not_found(&echo(&path)),
            AppError::Forbidden(reason) => Self::forbidden(reason),
            AppError::RateLimitExceeded(RateLimitExceeded { retry_after }) => {
                Self::rate_limited(retry_after).text(format!("Try again in {retry_after} s"))
            }
            AppError::Refused(refusal) => refusal.into(),
            AppError::Unavailable(reason) => reason.into(),
            AppError::OutcomeUnknown => internal(call)
                .text(
                    "The server cannot tell whether this was stored; a retry with the same \
                     idempotency key is safe",
                )
                .detail("outcome", "unknown"),
            AppError::Internal => internal(call),
            AppError::NoReply(no_reply) => no_reply_error(*no_reply),
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        Self::from_app(error, Call::Other)
    }
}

impl From<ValidationError> for ApiError {
    fn from(invalid: ValidationError) -> Self {
        match invalid {
            ValidationError::Uuid { field, value } => {
                let reason = format!("{field} must be a UUID of 8-4-4-4-12 hex digits");
                let error = validation("InvalidUuidError", "UUID format", &reason);
                let error = error.detail("field", field);
                match value {
                    Some(value) => error.detail("value", echo(&value)),
                    None => error,
                }
            }
            ValidationError::RepeatedUuid { field, value } => {
                let reason = format!("{field} must be given exactly once");
                validation("InvalidUuidError", "UUID format", &reason)
                    .detail("field", field)
                    .detail("value", echo(&value))
            }
            ValidationError::MissingFields(fields) => {
                let message = format!("Missing required fields: {}", fields.join(", "));
                Self::with_message(kinds::invalid("MissingFieldsError"), message)
                    .detail("missingFields", fields)
            }
            ValidationError::Content { field, reason } => {
                validation("InvalidContentError", field, &reason).detail("reason", reason)
            }
            ValidationError::Metadata(reason) => {
                validation("InvalidMetadataError", "metadata", &reason)
                    .detail("reason", reason)
                    .detail("maxBytes", MAX_METADATA_BYTES)
            }
            ValidationError::Pagination {
                parameter,
                value,
                reason,
            } => validation("InvalidPaginationError", parameter, &reason)
                .detail("parameter", parameter)
                .detail("value", echo(&value))
                .detail("reason", reason),
            ValidationError::Timeout(InvalidTimeout { field, reason }) => {
                validation("InvalidTimeoutConfigError", field, &reason)
                    .detail("reason", reason)
                    .detail("field", field)
            }
            ValidationError::Body(reason) => {
                validation("InvalidBodyError", "request", &reason).detail("reason", reason)
            }
        }
    }
}

impl From<RuleViolation> for ApiError {
    fn from(violation: RuleViolation) -> Self {
        let text = violation.to_string();
        match violation {
            RuleViolation::SessionNotFound(id) => session_not_found(&id.to_string()),
            RuleViolation::SessionExpired {
                session_id,
                expires_at,
            } => session_expired(&session_id.to_string(), expires_at),
            RuleViolation::RenewalRefused(refused) => renewal_refused(&refused),
            RuleViolation::InvalidTimeout(invalid) => ValidationError::Timeout(invalid).into(),
            RuleViolation::InvalidMetadata(reason) => ValidationError::Metadata(reason).into(),
            RuleViolation::MessageNotFound(id) => message_not_found(id),
            RuleViolation::SessionExists(id) => session_exists(id),
            RuleViolation::AgentNotFound(id) => Self::agent_not_found(&id.to_string()),
            RuleViolation::IdempotencyConflict { key } => {
                Self::new(kinds::IDEMPOTENCY_CONFLICT).detail("key", key)
            }
            RuleViolation::SessionBusy { .. } | RuleViolation::ProbeRunning => {
                Self::rate_limited(RETRY_AFTER).text(text)
            }
            RuleViolation::TooManySessions { left, .. } => {
                let seconds = u64::try_from(left.0).unwrap_or(0).div_ceil(1000).max(1);
                Self::rate_limited(seconds).text(text)
            }
            // The app answers this with the session's message.
            RuleViolation::TurnCancelled(_) => Self::new(kinds::TURN_CANCELLED),
            RuleViolation::TurnClosed { turn_id, reason } => turn_closed(turn_id, reason),
            RuleViolation::TooManyStreams { limit } => Self::rate_limited(RETRY_AFTER).text(
                format!("At most {limit} streams of an agent's work can be open"),
            ),
            RuleViolation::ServerBusy => Unavailable::Overloaded.into(),
        }
    }
}

impl From<Unavailable> for ApiError {
    fn from(reason: Unavailable) -> Self {
        let text = reason.to_string();
        let reason = match reason {
            Unavailable::Overloaded => "overloaded",
            Unavailable::ShuttingDown => "shutting down",
            Unavailable::Storage | Unavailable::NoSpace => "storage",
        };
        ApiError::new(kinds::SERVICE_UNAVAILABLE)
            .text(text)
            .detail("reason", reason)
            .retry_after(RETRY_AFTER)
    }
}

/// Returns the error of invalid input. Many clients show only the message, so it has the reason.
fn validation(name: &'static str, what: &str, reason: &str) -> ApiError {
    let message = format!("Invalid {what}: {reason}");
    ApiError::with_message(kinds::invalid(name), message).text(reason)
}

/// Returns the error of a call whose message was stored, but not answered.
fn no_reply_error(no_reply: NoReply) -> ApiError {
    let NoReply {
        agent_id,
        session,
        mut message,
        client_message_id,
        reason,
        replayed,
    } = no_reply;
    // The message was read when it was sent. Its turn has ended since.
    if let (
        NoReplyReason::Failed(failure),
        Role::User {
            turn: turn @ TurnState::Open,
            ..
        },
    ) = (&reason, &mut message.role)
    {
        *turn = TurnState::Failed(failure.clone());
    }
    let user_message = UserMessage::new(&session, &message, client_message_id.as_deref());
    let user_message = json!(user_message);
    let unanswered = |kind, text: String, reason: Option<FailureReason>, is_pending: bool| {
        let error = ApiError::new(kind)
            .text(text)
            .detail("agentId", agent_id.to_string())
            .detail("userMessage", user_message.clone())
            .detail("pending", is_pending);
        match reason {
            Some(reason) => error.detail("reason", reason.as_str()),
            None => error,
        }
    };
    let mut error = match reason {
        NoReplyReason::ShuttingDown => ApiError::from(Unavailable::ShuttingDown)
            .text("The message is stored; its reply will follow after the next start")
            .detail("userMessage", user_message),
        NoReplyReason::StillPending => {
            let text = "The message is stored; its reply is pending";
            unanswered(
                kinds::AGENT_TIMEOUT,
                text.into(),
                Some(FailureReason::Timeout),
                true,
            )
        }
        NoReplyReason::Failed(failure) => match failure.code.as_str() {
            "SESSION_EXPIRED" => session_expired(&session.id.to_string(), session.expires_at)
                .detail("userMessage", user_message),
            "AGENT_TIMEOUT" => {
                unanswered(kinds::AGENT_TIMEOUT, failure.message, failure.reason, false)
            }
            "TURN_CANCELLED" => turn_cancelled(&session, &message, client_message_id.as_deref()),
            _ => unanswered(kinds::AGENT_ERROR, failure.message, failure.reason, false),
        },
    };
    error.is_replayed = replayed;
    error
}

fn turn_cancelled(
    session: &Session,
    message: &Message,
    client_message_id: Option<&str>,
) -> ApiError {
    let user_message = UserMessage::new(session, message, client_message_id);
    ApiError::new(kinds::TURN_CANCELLED)
        .text(format!("The reply to message {} was cancelled", message.id))
        .detail("agentId", session.agent_id.to_string())
        .detail("userMessage", json!(user_message))
        .detail("reason", FailureReason::Cancelled.as_str())
}

fn turn_closed(turn_id: Option<TurnId>, reason: ClosedReason) -> ApiError {
    let turn_id = turn_id.map(|id| id.to_string());
    let reason = reason.as_str();
    let text = match &turn_id {
        Some(id) => format!("Turn {id} does not wait for a reply: {reason}"),
        None => format!("No turn waits for a reply: {reason}"),
    };
    ApiError::new(kinds::TURN_CLOSED)
        .text(text)
        .detail("turnId", turn_id)
        .detail("reason", reason)
}

fn session_not_found(id: &str) -> ApiError {
    ApiError::new(kinds::SESSION_NOT_FOUND)
        .text(format!("Session {id} does not exist"))
        .detail("sessionId", id)
}

fn session_exists(id: SessionId) -> ApiError {
    ApiError::new(kinds::SESSION_EXISTS)
        .text(format!(
            "Session {id} exists, or its messages are still being removed; nothing was imported"
        ))
        .detail("sessionId", id.to_string())
}

fn message_not_found(id: MessageId) -> ApiError {
    ApiError::new(kinds::MESSAGE_NOT_FOUND)
        .text(format!("The session has no message {id}"))
        .detail("messageId", id.to_string())
}

fn session_expired(id: &str, expires_at: Timestamp) -> ApiError {
    ApiError::new(kinds::SESSION_EXPIRED)
        .text(format!("Session {id} expired at {expires_at}"))
        .detail("sessionId", id)
        .detail("expiresAt", expires_at.to_string())
}

fn renewal_refused(refused: &RenewalRefused) -> ApiError {
    let minutes = refused.max_duration_minutes;
    let reason = format!("The session has reached its maximum duration of {minutes} minutes");
    ApiError::new(kinds::SESSION_RENEWAL_FAILED)
        .text(reason.clone())
        .detail("sessionId", refused.session_id.to_string())
        .detail("reason", reason)
        .detail("maxDurationMinutes", minutes)
        .detail("createdAt", refused.created_at.to_string())
        .detail("timeSinceCreation", refused.age.0)
}

fn internal(call: Call) -> ApiError {
    ApiError::new(match call {
        Call::Create => kinds::SESSION_CREATION_FAILED,
        Call::Send => kinds::MESSAGE_SEND_FAILED,
        Call::Other => kinds::INTERNAL_SERVER_ERROR,
    })
    .text("The server failed; its log contains the cause")
}
