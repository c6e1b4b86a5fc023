//! What a client reads when a call fails. What the log reads is written where the failure is met.
//!
//! The statuses of errors stand here and nowhere else. A handler's error travels as an extension of its
//! response to the outermost layer, which alone knows the time that the body has to name.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::dto;
use super::extract::REPLAYED;
use crate::app::error::{AppError, NO_SPACE, NoReply, NoReplyReason, Unavailable, ValidationError};
use crate::domain::error::{Refusal, RenewalRefused};
use crate::domain::message::{Role, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::timeout::InvalidTimeout;
use crate::guard::origin::Foreign;
use crate::guard::rate::TooMany;

/// The longest part of a client's own text that comes back in an error.
const MAX_ECHO: usize = 100;

/// How long a client is told to wait, in seconds.
const RETRY_AFTER: u64 = 1;

/// An error as a client reads it.
#[derive(Debug, Clone)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    kind: &'static str,
    message: String,
    /// A sentence for people.
    text: String,
    /// The same for programs.
    details: Map<String, Value>,
    retry_after: Option<u64>,
    /// Whether an earlier call with the same key did what this one was to do.
    is_replayed: bool,
}

/// The call in which an error happened, where that decides the code of a 500.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    /// Creating a session.
    Create,
    /// Sending a message.
    Send,
    /// Any other.
    Other,
}

#[derive(Serialize)]
struct Document<'a> {
    success: bool,
    error: Inner<'a>,
    code: &'a str,
    details: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    r#type: &'a str,
    message: &'a str,
    details: &'a str,
    timestamp: String,
}

impl ApiError {
    fn new(
        status: StatusCode,
        code: &'static str,
        kind: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            kind,
            text: message.clone(),
            message,
            details: Map::new(),
            retry_after: None,
            is_replayed: false,
        }
    }

    fn bad_request(kind: &'static str, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", kind, message)
    }

    /// Input that breaks a rule. The reason is in the message, since many clients show nothing
    /// else.
    fn invalid(kind: &'static str, what: &str, reason: &str) -> Self {
        Self::bad_request(kind, format!("Invalid {what}: {reason}")).text(reason)
    }

    fn text(self, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..self
        }
    }

    fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// A caller that may not do it.
    pub(super) fn forbidden(reason: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "ForbiddenError",
            "Forbidden",
        )
        .text(reason)
    }

    /// A caller whose role may not do it.
    pub(super) fn not_permitted() -> Self {
        Self::forbidden("These credentials do not allow this call")
    }

    /// A web page that may not call.
    pub(super) fn foreign(foreign: Foreign) -> Self {
        Self::forbidden(match foreign {
            Foreign::Origin => "Pages of this origin may not call; CORS_ORIGIN says whose may",
            Foreign::Site => {
                "Pages of other sites may not call while the server asks for no token; \
                 CORS_ORIGIN says whose may"
            }
            Foreign::Host => {
                "Host must be localhost or a loopback address while the server asks for no token"
            }
        })
    }

    /// A caller that has done it too often.
    fn too_many(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "RATE_LIMIT_EXCEEDED",
            "RateLimitError",
            "Too many requests",
        )
        .detail("retryAfter", seconds)
        .retry_after(seconds)
    }

    /// A call without valid credentials.
    pub(super) fn unauthorized() -> Self {
        let text = "Send the server's or the admins' token as X-API-KEY or Authorization: Bearer, \
                    or a user's signed, unexpired JSON Web Token as Authorization: Bearer";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "UnauthorizedError",
            "Credentials are missing or wrong",
        )
        .text(text)
    }

    /// A path that is not of the API.
    pub(super) fn not_found(method: &Method, path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "NotFoundError",
            "Not found",
        )
        .text(format!("There is no {method} {}", echo(path)))
        .detail("method", method.as_str())
        .detail("path", echo(path))
    }

    /// A method that a path does not have. The router adds the `Allow` header.
    pub(super) fn method_not_allowed(method: &Method, path: &str) -> Self {
        let path = echo(path);
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "MethodNotAllowedError",
            "Method not allowed",
        )
        .text(format!(
            "{path} has no {method}; the Allow header names the methods it has"
        ))
        .detail("method", method.as_str())
        .detail("path", path)
    }

    /// A body that is too large.
    pub(super) fn payload_too_large(max: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PAYLOAD_TOO_LARGE",
            "PayloadTooLargeError",
            "The body is too large",
        )
        .text(format!("The body must be at most {max} bytes"))
    }

    /// A body that is not JSON by its own word.
    pub(super) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "UnsupportedMediaTypeError",
            "The body must be JSON",
        )
        .text("Content-Type must be application/json, or absent")
    }

    /// A body in a content coding.
    pub(super) fn unsupported_coding(coding: &str) -> Self {
        let coding = echo(coding);
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "UnsupportedMediaTypeError",
            format!("Unsupported Content-Encoding {coding:?}"),
        )
        .text(format!(
            "The body is sent with Content-Encoding {coding:?}; send it uncompressed"
        ))
    }

    /// Too many bytes of request bodies, or too many connections.
    pub(super) fn overloaded() -> Self {
        unavailable(Unavailable::Overloaded)
    }

    /// A server that is at fault.
    pub(super) fn internal() -> Self {
        internal(Call::Other)
    }

    /// An agent's path that does not even name one.
    pub(super) fn agent_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::new(
            StatusCode::NOT_FOUND,
            "AGENT_NOT_FOUND",
            "AgentNotFoundError",
            "Agent not found",
        )
        .text(format!("There is no agent {id}"))
        .detail("agentId", id)
    }

    /// The state of a service that cannot write.
    pub(super) fn unhealthy() -> Self {
        unavailable(Unavailable::Storage)
    }

    /// Whether the client is told when to try again.
    pub(super) fn has_retry_after(&self) -> bool {
        self.retry_after.is_some()
    }

    /// The body's members.
    pub(super) fn document(&self, now: Timestamp) -> Value {
        json!(Document {
            success: false,
            error: Inner {
                code: self.code,
                r#type: self.kind,
                message: &self.message,
                details: &self.text,
                timestamp: now.to_string(),
            },
            code: self.code,
            details: &self.details,
        })
    }

    /// Completes the response that stands for the error with its body, which names the time.
    pub(super) fn render(self, response: Response, now: Timestamp) -> Response {
        let document = self.document(now);
        let (mut parts, _) = response.into_parts();
        let (rendered, body) = self.respond(&document).into_parts();
        // That of the empty body.
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.extend(rendered.headers);
        Response::from_parts(parts, body)
    }

    /// The response with a body of its own.
    pub(super) fn respond<T: Serialize>(self, body: &T) -> Response {
        let mut response = dto::json(self.status, body);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.is_replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// The error of a use case.
    pub(super) fn of(error: AppError, call: Call) -> Self {
        match error {
            AppError::Invalid(invalid) => Self::from(invalid),
            AppError::UnknownSession(path) => session_not_found(&echo(&path)),
            AppError::Forbidden(reason) => Self::forbidden(reason),
            AppError::TooMany(TooMany { retry_after }) => {
                Self::too_many(retry_after).text(format!("Try again in {retry_after} s"))
            }
            AppError::Refused(refusal) => Self::from(refusal),
            AppError::Unavailable(reason) => unavailable(reason),
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
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
                Self::bad_request("MissingFieldsError", message).detail("missingFields", fields)
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
            Refusal::IdempotencyConflict { key } => Self::new(
                StatusCode::CONFLICT,
                "IDEMPOTENCY_CONFLICT",
                "IdempotencyConflictError",
                "The idempotency key was used with another body",
            )
            .detail("key", key),
            Refusal::SessionBusy { limit } => Self::too_many(RETRY_AFTER).text(format!(
                "At most {limit} messages of a session can wait for a reply"
            )),
            Refusal::TooManySessions { limit, left, .. } => {
                let seconds = u64::try_from(left.0).unwrap_or(0).div_ceil(1000).max(1);
                Self::too_many(seconds)
                    .text(format!("A user can have at most {limit} active sessions"))
            }
            Refusal::ServerBusy => unavailable(Unavailable::Overloaded),
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
                return unavailable(Unavailable::ShuttingDown)
                    .text("The message was kept; its reply will come after the next start")
                    .detail("userMessage", user_message);
            }
            (_, Some("SESSION_EXPIRED")) => {
                return session_expired(&session.id.to_string(), session.expires_at)
                    .detail("userMessage", user_message);
            }
            (NoReplyReason::StillPending, _) | (_, Some("AGENT_TIMEOUT")) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "AGENT_TIMEOUT",
                "AgentTimeoutError",
                "The agent did not answer in time",
            ),
            _ => Self::new(
                StatusCode::BAD_GATEWAY,
                "AGENT_ERROR",
                "AgentError",
                "The agent could not answer",
            ),
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
    ApiError::new(
        StatusCode::NOT_FOUND,
        "SESSION_NOT_FOUND",
        "SessionNotFoundError",
        "Session not found",
    )
    .text(format!("There is no session {id}"))
    .detail("sessionId", id)
}

fn session_expired(id: &str, expires_at: Timestamp) -> ApiError {
    ApiError::new(
        StatusCode::GONE,
        "SESSION_EXPIRED",
        "SessionExpiredError",
        "Session has expired",
    )
    .text(format!("Session {id} expired at {expires_at}"))
    .detail("sessionId", id)
    .detail("expiresAt", expires_at.to_string())
}

fn renewal_refused(refused: &RenewalRefused) -> ApiError {
    let reason = format!(
        "The session already lasts as long as it can, {} minutes from its creation",
        refused.max_duration_minutes
    );
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "SESSION_RENEWAL_FAILED",
        "SessionRenewalError",
        "Session cannot be renewed",
    )
    .text(reason.clone())
    .detail("sessionId", refused.session_id.to_string())
    .detail("reason", reason)
    .detail("maxDurationMinutes", refused.max_duration_minutes)
    .detail("createdAt", refused.created_at.to_string())
    .detail("timeSinceCreation", refused.age.0)
}

fn unavailable(reason: Unavailable) -> ApiError {
    let (reason, text) = match reason {
        Unavailable::Overloaded => ("overloaded", "The server has too much to do; try again"),
        Unavailable::ShuttingDown => ("shutting down", "The server is stopping; try again"),
        Unavailable::Storage => ("storage", "The server's database cannot be used at present"),
        Unavailable::NoSpace => ("storage", NO_SPACE),
    };
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "SERVICE_UNAVAILABLE",
        "ServiceUnavailableError",
        "Service unavailable",
    )
    .text(text)
    .detail("reason", reason)
    .retry_after(RETRY_AFTER)
}

fn internal(call: Call) -> ApiError {
    let (code, kind, message) = match call {
        Call::Create => (
            "SESSION_CREATION_FAILED",
            "SessionCreationError",
            "The session was not created",
        ),
        Call::Send => (
            "MESSAGE_SEND_FAILED",
            "MessageSendError",
            "The message was not sent",
        ),
        Call::Other => (
            "INTERNAL_SERVER_ERROR",
            "InternalServerError",
            "Internal server error",
        ),
    };
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, code, kind, message)
        .text("The server failed; its log has more")
}

/// A client's own text, cut where it is long.
fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO).collect()
}
