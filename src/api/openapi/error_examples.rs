//! An example of each error, made as the server makes it.

use super::sample::{NOW, agent_id, expired, message_in, session_id, turn_id};
use crate::api::error::{ApiError, Call};
use crate::app::error::{AppError, NoReply, NoReplyReason, Unavailable, ValidationError};
use crate::domain::error::{RenewalRefused, RuleViolation};
use crate::domain::failure::FailureReason;
use crate::domain::message::{TurnFailure, TurnState};
use crate::domain::time::Millis;
use crate::domain::timeout::InvalidTimeout;
use crate::domain::waiting::ClosedReason;

/// The age of a session that cannot be renewed.
const AGE: Millis = Millis(42_000_000);

pub(super) struct ExampleResponse {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) examples: Vec<(&'static str, ApiError)>,
}

impl ExampleResponse {
    fn example(mut self, name: &'static str, error: impl Into<ApiError>) -> Self {
        self.examples.push((name, error.into()));
        self
    }
}

fn response(name: &'static str, description: &'static str) -> ExampleResponse {
    ExampleResponse {
        name,
        description,
        examples: Vec::new(),
    }
}

pub(super) fn all() -> Vec<ExampleResponse> {
    vec![
        bad_request(),
        response("PayloadTooLarge", "The body is too large").example(
            "payloadTooLarge",
            ApiError::payload_too_large(2 * 1024 * 1024),
        ),
        response("UnsupportedMediaType", "The body is not declared as JSON").example(
            "unsupportedMediaType",
            ApiError::unsupported_media_type("JSON", "application/json"),
        ),
        import_too_large(),
        unsupported_lines(),
        session_exists(),
        response(
            "Unauthorized",
            "The required credentials are missing or invalid",
        )
        .example("unauthorized", ApiError::unauthorized()),
        response(
            "Forbidden",
            "The credentials, the origin or the host do not permit the call",
        )
        .example("forbidden", ApiError::not_permitted()),
        response("RateLimited", "A rate limit or a quota is reached")
            .example("rateLimited", RuleViolation::SessionBusy { limit: 16 }),
        turn_closed(),
        response(
            "IdempotencyConflict",
            "The idempotency key was used with a different body",
        )
        .example("idempotencyConflict", idempotency_conflict()),
        turn_cancelled(),
        response("SessionNotFound", "The session does not exist").example(
            "sessionNotFound",
            RuleViolation::SessionNotFound(session_id()),
        ),
        response("AgentNotFound", "The agent does not exist")
            .example("agentNotFound", RuleViolation::AgentNotFound(agent_id())),
        agent_or_source_not_found(),
        response(
            "SessionOrAgentNotFound",
            "The session or its agent does not exist",
        )
        .example(
            "sessionNotFound",
            RuleViolation::SessionNotFound(session_id()),
        )
        .example("agentNotFound", RuleViolation::AgentNotFound(agent_id())),
        response(
            "SessionExpired",
            "The session has expired and is still retained",
        )
        .example("sessionExpired", session_expired()),
        response(
            "SessionExpiredWhileWaiting",
            "The session has expired and is still retained. With `userMessage`, the message is \
             stored, and its turn had not started",
        )
        .example("sessionExpired", session_expired())
        .example("whileWaiting", failed(TurnFailure::session_expired())),
        renewal_failed(),
        internal_error(),
        response(
            "AgentFailed",
            "The agent failed to reply; the message is stored",
        )
        .example(
            "agentFailed",
            failed(TurnFailure::agent_error(FailureReason::Unavailable)),
        ),
        unavailable(
            "Unavailable",
            "The server cannot do this at present; nothing was written",
        ),
        unavailable(
            "UnavailableWhileWaiting",
            "The server cannot do this at present. Nothing was written, unless `userMessage` is \
             present: then the message is stored, and its reply follows after the next start",
        )
        .example("whileWaiting", no_reply(NoReplyReason::ShuttingDown)),
        response(
            "AgentTimedOut",
            "The agent did not reply in time; the message is stored",
        )
        .example("agentTimedOut", failed(TurnFailure::agent_timeout()))
        .example("stillPending", no_reply(NoReplyReason::StillPending)),
    ]
}

fn internal_error() -> ExampleResponse {
    response(
        "InternalError",
        "The server failed. With `outcome: unknown` the change may or may not be stored, and a \
         retry with the same idempotency key is safe",
    )
    .example("internal", AppError::Internal)
    .example(
        "creation",
        ApiError::from_app(AppError::Internal, Call::Create),
    )
    .example(
        "outcomeUnknown",
        ApiError::from_app(AppError::OutcomeUnknown, Call::Send),
    )
}

fn agent_or_source_not_found() -> ExampleResponse {
    response(
        "AgentOrSourceNotFound",
        "The agent, the session of `continueFrom`, or its message does not exist",
    )
    .example("agentNotFound", RuleViolation::AgentNotFound(agent_id()))
    .example(
        "sessionNotFound",
        RuleViolation::SessionNotFound(session_id()),
    )
    .example(
        "messageNotFound",
        RuleViolation::MessageNotFound(message_in(TurnState::Open).id),
    )
}

fn bad_request() -> ExampleResponse {
    let uuid = ValidationError::Uuid {
        field: "agentId",
        value: Some("abc-123".into()),
    };
    let content = ValidationError::Content {
        field: "content",
        reason: "content must be at most 4000 characters, not 4001".into(),
    };
    let metadata = "metadata must be an object, not an array";
    let pagination = ValidationError::Pagination {
        parameter: "limit",
        value: "0".into(),
        reason: "limit must be an integer from 1 to 1000".into(),
    };
    let timeout = InvalidTimeout {
        field: "timeoutMinutes",
        reason: "timeoutMinutes must be between 5 and 1440, not 1".into(),
    };
    let body = "the body must be a JSON object, not an array";
    response(
        "BadRequest",
        "A field, a parameter or the whole body is invalid",
    )
    .example("uuid", uuid)
    .example(
        "missingFields",
        ValidationError::MissingFields(vec!["agentId"]),
    )
    .example("content", content)
    .example("metadata", ValidationError::Metadata(metadata.into()))
    .example("pagination", pagination)
    .example("timeoutConfig", ValidationError::Timeout(timeout))
    .example("body", ValidationError::Body(body.into()))
}

fn unavailable(name: &'static str, description: &'static str) -> ExampleResponse {
    response(name, description)
        .example("overloaded", Unavailable::Overloaded)
        .example("shuttingDown", Unavailable::ShuttingDown)
        .example("storage", Unavailable::Storage)
}

fn renewal_failed() -> ExampleResponse {
    response(
        "RenewalFailed",
        "The session has reached its maximum duration",
    )
    .example(
        "renewalFailed",
        RuleViolation::RenewalRefused(renewal_refused()),
    )
}

fn turn_cancelled() -> ExampleResponse {
    response(
        "TurnCancelled",
        "A client cancelled the reply; the message is stored. Or the idempotency key was used \
         with a different body",
    )
    .example("turnCancelled", failed(TurnFailure::cancelled()))
    .example("idempotencyConflict", idempotency_conflict())
}

fn turn_closed() -> ExampleResponse {
    let closed = |turn_id, reason| RuleViolation::TurnClosed { turn_id, reason };
    response(
        "TurnClosed",
        "No selected turn waits for a reply, a client cancelled it, or the idempotency key was used \
         with a different body",
    )
    .example(
        "turnClosed",
        closed(Some(turn_id()), ClosedReason::Answered),
    )
    .example("noneWaits", closed(None, ClosedReason::Timeout))
    .example("turnCancelled", failed(TurnFailure::cancelled()))
    .example("idempotencyConflict", idempotency_conflict())
}

fn import_too_large() -> ExampleResponse {
    response("ImportTooLarge", "The import is too large").example(
        "importTooLarge",
        ApiError::import_too_large(32 * 1024 * 1024),
    )
}

fn unsupported_lines() -> ExampleResponse {
    response("UnsupportedLines", "The body is not declared as JSON Lines").example(
        "unsupportedMediaType",
        ApiError::unsupported_media_type("JSON Lines", "application/x-ndjson"),
    )
}

fn session_exists() -> ExampleResponse {
    response(
        "SessionExists",
        "A session of the import exists, or a create key of it stands for another session",
    )
    .example("sessionExists", RuleViolation::SessionExists(session_id()))
    .example("idempotencyConflict", idempotency_conflict())
}

fn idempotency_conflict() -> RuleViolation {
    RuleViolation::IdempotencyConflict {
        key: "order-17".into(),
    }
}

fn session_expired() -> RuleViolation {
    RuleViolation::SessionExpired {
        session_id: session_id(),
        expires_at: NOW,
    }
}

fn renewal_refused() -> RenewalRefused {
    RenewalRefused {
        session_id: session_id(),
        max_duration_minutes: 720,
        created_at: NOW - AGE,
        age: AGE,
    }
}

fn failed(failure: TurnFailure) -> AppError {
    no_reply(NoReplyReason::Failed(failure))
}

/// Returns the error of a stored message that this call gets no reply to.
fn no_reply(reason: NoReplyReason) -> AppError {
    AppError::NoReply(Box::new(NoReply {
        agent_id: agent_id(),
        session: expired(),
        message: message_in(TurnState::Open),
        client_message_id: None,
        replayed: false,
        reason,
    }))
}
