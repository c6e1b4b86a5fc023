//! An example of each error, made as the server makes it.

use super::sample::{NOW, agent_id, expired, session_id, waiting};
use crate::api::error::{ApiError, Call};
use crate::app::error::{AppError, NoReply, NoReplyReason, Unavailable, ValidationError};
use crate::domain::error::{Refusal, RenewalRefused};
use crate::domain::message::TurnFailure;
use crate::domain::time::Millis;
use crate::domain::timeout::InvalidTimeout;

/// How long a session has lasted that cannot be renewed.
const LONG: Millis = Millis(42_000_000);

/// A response by its name, with what it is in words and the errors that it shows.
pub(super) struct ErrorResponse {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) examples: Vec<(&'static str, ApiError)>,
}

/// Every error response.
pub(super) fn all() -> Vec<ErrorResponse> {
    [of_requests(), of_callers(), of_sessions(), of_the_server()]
        .into_iter()
        .flatten()
        .collect()
}

fn response(
    name: &'static str,
    description: &'static str,
    examples: Vec<(&'static str, ApiError)>,
) -> ErrorResponse {
    ErrorResponse {
        name,
        description,
        examples,
    }
}

fn of_requests() -> Vec<ErrorResponse> {
    vec![
        response(
            "BadRequest",
            "A field, a parameter or the body as a whole is not valid",
            invalid(),
        ),
        response(
            "PayloadTooLarge",
            "The body is too large",
            vec![(
                "payloadTooLarge",
                ApiError::payload_too_large(2 * 1024 * 1024),
            )],
        ),
        response(
            "UnsupportedMediaType",
            "The body is not JSON by its own word",
            vec![("unsupportedMediaType", ApiError::unsupported_media_type())],
        ),
    ]
}

fn of_callers() -> Vec<ErrorResponse> {
    vec![
        response(
            "Unauthorized",
            "The server asks for credentials, and these are missing or wrong",
            vec![("unauthorized", ApiError::unauthorized())],
        ),
        response(
            "Forbidden",
            "These credentials, this origin or this host may not do that",
            vec![(
                "forbidden",
                ApiError::forbidden("This is for the administrator's token"),
            )],
        ),
        response(
            "RateLimited",
            "Too much at once",
            vec![(
                "rateLimited",
                ApiError::from(Refusal::SessionBusy { limit: 16 }),
            )],
        ),
        response(
            "IdempotencyConflict",
            "The idempotency key was used with another body",
            vec![(
                "idempotencyConflict",
                ApiError::from(Refusal::IdempotencyConflict {
                    key: "order-17".into(),
                }),
            )],
        ),
    ]
}

fn of_sessions() -> Vec<ErrorResponse> {
    let session_not_found = || ApiError::from(Refusal::SessionNotFound(session_id()));
    let agent_not_found = || ApiError::from(Refusal::AgentNotFound(agent_id()));
    vec![
        response(
            "SessionNotFound",
            "There is no such session",
            vec![("sessionNotFound", session_not_found())],
        ),
        response(
            "AgentNotFound",
            "There is no such agent",
            vec![("agentNotFound", agent_not_found())],
        ),
        response(
            "SessionOrAgentNotFound",
            "There is no such session, or its agent is gone",
            vec![
                ("sessionNotFound", session_not_found()),
                ("agentNotFound", agent_not_found()),
            ],
        ),
        response(
            "SessionExpired",
            "The session has expired; it is still kept",
            vec![("sessionExpired", session_expired())],
        ),
        response(
            "SessionExpiredWhileWaiting",
            "The session has expired; it is still kept. With `userMessage`, so is the message, \
             whose turn had not begun",
            vec![
                ("sessionExpired", session_expired()),
                (
                    "whileWaiting",
                    no_reply(failed(TurnFailure::session_expired())),
                ),
            ],
        ),
        response(
            "RenewalFailed",
            "The session already lasts as long as it can",
            vec![(
                "renewalFailed",
                ApiError::from(Refusal::RenewalRefused(RenewalRefused {
                    session_id: session_id(),
                    max_duration_minutes: 720,
                    created_at: NOW - LONG,
                    age: LONG,
                })),
            )],
        ),
    ]
}

fn of_the_server() -> Vec<ErrorResponse> {
    vec![
        response(
            "InternalError",
            "The server is at fault. With `outcome: unknown` it may or may not be stored, and a \
             retry with the same idempotency key is safe",
            vec![
                ("internal", ApiError::of(AppError::Internal, Call::Other)),
                ("creation", ApiError::of(AppError::Internal, Call::Create)),
                (
                    "outcomeUnknown",
                    ApiError::of(AppError::OutcomeUnknown, Call::Send),
                ),
            ],
        ),
        response(
            "AgentFailed",
            "The agent could not answer; the message was kept",
            vec![("agentFailed", no_reply(failed(TurnFailure::agent_error())))],
        ),
        response(
            "Unavailable",
            "The server cannot do it at present; nothing was written",
            unavailable(),
        ),
        response(
            "UnavailableWhileWaiting",
            "The server cannot do it at present. Nothing was written, unless `userMessage` is \
             there: then the message was kept, and its reply comes after the next start",
            [
                unavailable(),
                vec![("whileWaiting", no_reply(NoReplyReason::ShuttingDown))],
            ]
            .concat(),
        ),
        response(
            "AgentTimedOut",
            "The agent did not answer in time; the message was kept",
            vec![
                (
                    "agentTimedOut",
                    no_reply(failed(TurnFailure::agent_timeout())),
                ),
                ("stillPending", no_reply(NoReplyReason::StillPending)),
            ],
        ),
    ]
}

fn session_expired() -> ApiError {
    ApiError::from(Refusal::SessionExpired {
        session_id: session_id(),
        expires_at: NOW,
    })
}

fn unavailable() -> Vec<(&'static str, ApiError)> {
    let of = |reason| ApiError::from(AppError::Unavailable(reason));
    vec![
        ("overloaded", of(Unavailable::Overloaded)),
        ("shuttingDown", of(Unavailable::ShuttingDown)),
        ("storage", of(Unavailable::Storage)),
    ]
}

fn failed(failure: TurnFailure) -> NoReplyReason {
    NoReplyReason::Failed(failure)
}

/// A kept message that gets no reply on this call.
fn no_reply(reason: NoReplyReason) -> ApiError {
    AppError::NoReply(Box::new(NoReply {
        agent_id: agent_id(),
        session: expired(),
        message: waiting(),
        client_message_id: None,
        replayed: false,
        reason,
    }))
    .into()
}

/// Every way in which input is not valid.
fn invalid() -> Vec<(&'static str, ApiError)> {
    let of = |invalid: ValidationError| ApiError::from(invalid);
    vec![
        (
            "uuid",
            of(ValidationError::Uuid {
                field: "agentId",
                value: Some("abc-123".into()),
            }),
        ),
        (
            "missingFields",
            of(ValidationError::MissingFields(vec!["agentId"])),
        ),
        (
            "content",
            of(ValidationError::Content {
                field: "content",
                reason: "content must be at most 4000 characters, not 4001".into(),
            }),
        ),
        (
            "metadata",
            of(ValidationError::Metadata(
                "metadata must be an object, not an array".into(),
            )),
        ),
        (
            "pagination",
            of(ValidationError::Pagination {
                parameter: "limit",
                value: "0".into(),
                reason: "limit must be a whole number of 1 to 1000".into(),
            }),
        ),
        (
            "timeoutConfig",
            of(ValidationError::Timeout(InvalidTimeout {
                field: "timeoutMinutes",
                reason: "timeoutMinutes must be between 5 and 1440, not 1".into(),
            })),
        ),
        (
            "body",
            of(ValidationError::Body(
                "the body must be a JSON object, not an array".into(),
            )),
        ),
    ]
}
