//! An example of each error, made as the server makes it.

use axum::http::{Method, StatusCode};

use super::errors::ErrorResponse;
use crate::app::error::{AppError, Invalid, NoReply, NoReplyReason, Unavailable};
use crate::domain::error::{Refusal, RenewalRefused};
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::message::{Body as MessageBody, Message, Role, Sender, TurnFailure, TurnState};
use crate::domain::session::{NewSession, Session};
use crate::domain::time::{Millis, TimeScale, Timestamp};
use crate::domain::timeout::{InvalidTimeout, TimeoutConfig};
use crate::http::error::{ApiError, Call};

/// When the examples happen.
pub(super) const NOW: Timestamp = Timestamp(1_705_314_645_123);

fn session() -> SessionId {
    SessionId::from(0x018d_0d2e_5a83_7c3e_9f5b_3c90_c3cc_0d44)
}

fn agent() -> AgentId {
    AgentId::from(0xb850_bc30_45f8_0041_a00a_83df_46d8_555d)
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
    status: StatusCode,
    description: &'static str,
    examples: Vec<(&'static str, ApiError)>,
) -> ErrorResponse {
    ErrorResponse {
        name,
        status,
        description,
        examples,
    }
}

fn of_requests() -> Vec<ErrorResponse> {
    vec![
        response(
            "BadRequest",
            StatusCode::BAD_REQUEST,
            "A field, a parameter or the body as a whole is not valid",
            invalid(),
        ),
        response(
            "PayloadTooLarge",
            StatusCode::PAYLOAD_TOO_LARGE,
            "The body is too large",
            vec![(
                "payloadTooLarge",
                ApiError::payload_too_large(2 * 1024 * 1024),
            )],
        ),
        response(
            "UnsupportedMediaType",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body is not JSON by its own word",
            vec![("unsupportedMediaType", ApiError::unsupported_media_type())],
        ),
        response(
            "NotFound",
            StatusCode::NOT_FOUND,
            "There is no such path",
            vec![(
                "notFound",
                ApiError::not_found(&Method::GET, "/api/nothing"),
            )],
        ),
        response(
            "MethodNotAllowed",
            StatusCode::METHOD_NOT_ALLOWED,
            "The path has no such method; `Allow` names those that it has",
            vec![(
                "methodNotAllowed",
                ApiError::method_not_allowed(&Method::PUT, "/api/agents"),
            )],
        ),
    ]
}

fn of_callers() -> Vec<ErrorResponse> {
    vec![
        response(
            "Unauthorized",
            StatusCode::UNAUTHORIZED,
            "The server asks for credentials, and these are missing or wrong",
            vec![("unauthorized", ApiError::unauthorized())],
        ),
        response(
            "Forbidden",
            StatusCode::FORBIDDEN,
            "These credentials, this origin or this host may not do that",
            vec![(
                "forbidden",
                ApiError::forbidden("This is for the administrator's token"),
            )],
        ),
        response(
            "RateLimited",
            StatusCode::TOO_MANY_REQUESTS,
            "Too much at once",
            vec![(
                "rateLimited",
                ApiError::from(Refusal::SessionBusy { limit: 16 }),
            )],
        ),
        response(
            "IdempotencyConflict",
            StatusCode::CONFLICT,
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
    let session_not_found = || ApiError::from(Refusal::SessionNotFound(session()));
    let agent_not_found = || ApiError::from(Refusal::AgentNotFound(agent()));
    vec![
        response(
            "SessionNotFound",
            StatusCode::NOT_FOUND,
            "There is no such session",
            vec![("sessionNotFound", session_not_found())],
        ),
        response(
            "AgentNotFound",
            StatusCode::NOT_FOUND,
            "There is no such agent",
            vec![("agentNotFound", agent_not_found())],
        ),
        response(
            "SessionOrAgentNotFound",
            StatusCode::NOT_FOUND,
            "There is no such session, or its agent is gone",
            vec![
                ("sessionNotFound", session_not_found()),
                ("agentNotFound", agent_not_found()),
            ],
        ),
        response(
            "SessionExpired",
            StatusCode::GONE,
            "The session has expired; it is still kept",
            vec![(
                "sessionExpired",
                ApiError::from(Refusal::SessionExpired {
                    session_id: session(),
                    expires_at: Timestamp(1_705_312_800_000),
                }),
            )],
        ),
        response(
            "RenewalFailed",
            StatusCode::UNPROCESSABLE_ENTITY,
            "The session already lasts as long as it can",
            vec![(
                "renewalFailed",
                ApiError::from(Refusal::RenewalRefused(RenewalRefused {
                    session_id: session(),
                    max_duration_minutes: 720,
                    created_at: Timestamp(1_705_272_645_123),
                    age: Millis(42_000_000),
                })),
            )],
        ),
    ]
}

fn of_the_server() -> Vec<ErrorResponse> {
    vec![
        response(
            "InternalError",
            StatusCode::INTERNAL_SERVER_ERROR,
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
            StatusCode::BAD_GATEWAY,
            "The agent could not answer; the message was kept",
            vec![("agentFailed", no_reply(TurnFailure::agent_error()))],
        ),
        response(
            "Unavailable",
            StatusCode::SERVICE_UNAVAILABLE,
            "The server cannot do it at present. Nothing was written, unless `userMessage` is there",
            vec![
                (
                    "overloaded",
                    ApiError::from(AppError::Unavailable(Unavailable::Overloaded)),
                ),
                (
                    "shuttingDown",
                    ApiError::from(AppError::Unavailable(Unavailable::ShuttingDown)),
                ),
                (
                    "storage",
                    ApiError::from(AppError::Unavailable(Unavailable::Storage)),
                ),
            ],
        ),
        response(
            "AgentTimedOut",
            StatusCode::GATEWAY_TIMEOUT,
            "The agent did not answer in time; the message was kept",
            vec![("agentTimedOut", no_reply(TurnFailure::agent_timeout()))],
        ),
    ]
}

/// A kept message whose agent gave no reply.
fn no_reply(failure: TurnFailure) -> ApiError {
    let timeout = TimeoutConfig {
        timeout_minutes: 30,
        auto_renew: true,
        max_duration_minutes: 720,
        warning_threshold_minutes: 5,
    };
    let new = NewSession {
        id: session(),
        agent_id: agent(),
        user_id: UserId::from(0x3c90_c3cc_0d44_4b50_8888_8dd2_5736_052a),
        timeout,
        metadata: "{}".into(),
        create_key: None,
    };
    let message = Message {
        id: MessageId::from(0x018d_0d2e_5b01_7a3e_8f5b_3c90_c3cc_0d45),
        session_id: session(),
        author_id: new.user_id.0,
        created_at: NOW,
        body: MessageBody {
            content: "Hello!".into(),
            ..MessageBody::default()
        },
        role: Role::User {
            turn_id: TurnId::from(1),
            reply_id: MessageId::from(2),
            sender: Sender::default(),
            turn: TurnState::Open,
        },
    };
    AppError::NoReply(Box::new(NoReply {
        agent_id: agent(),
        session: Session::create(new, NOW, TimeScale::new(1)),
        message,
        reason: NoReplyReason::Failed(failure),
    }))
    .into()
}

/// Every way in which input is not valid.
fn invalid() -> Vec<(&'static str, ApiError)> {
    let of = |invalid: Invalid| ApiError::from(invalid);
    vec![
        (
            "uuid",
            of(Invalid::Uuid {
                field: "agentId",
                value: Some("abc-123".into()),
            }),
        ),
        ("missingFields", of(Invalid::MissingFields(vec!["agentId"]))),
        (
            "content",
            of(Invalid::Content(
                "content must have 1 to 4000 characters".into(),
            )),
        ),
        (
            "metadata",
            of(Invalid::Metadata("metadata must be a JSON object".into())),
        ),
        (
            "pagination",
            of(Invalid::Pagination {
                parameter: "limit",
                value: "0".into(),
                reason: "limit must be a whole number of 1 to 1000".into(),
            }),
        ),
        (
            "timeoutConfig",
            of(Invalid::Timeout(InvalidTimeout {
                field: "timeoutMinutes",
                reason: "timeoutMinutes must be a number of 5 to 1440".into(),
            })),
        ),
        (
            "body",
            of(Invalid::Body(
                "the body must be a JSON object, not an array".into(),
            )),
        ),
    ]
}
