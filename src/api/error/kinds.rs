//! What all errors of a kind have in common. Only this file maps errors to statuses.

use axum::http::StatusCode;

#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// `error.type` in the body.
    pub(super) name: &'static str,
    pub(super) message: &'static str,
}

macro_rules! kinds {
    ($($code:ident $status:ident $name:ident $message:literal)*) => { $(
        pub(super) const $code: Kind = Kind {
            status: StatusCode::$status,
            code: stringify!($code),
            name: stringify!($name),
            message: $message,
        };
    )* };
}

kinds! {
    AGENT_ERROR BAD_GATEWAY AgentError "The agent failed to reply"
    AGENT_NOT_FOUND NOT_FOUND AgentNotFoundError "Agent not found"
    AGENT_TIMEOUT GATEWAY_TIMEOUT AgentTimeoutError "The agent did not reply in time"
    FORBIDDEN FORBIDDEN ForbiddenError "Forbidden"
    IDEMPOTENCY_CONFLICT CONFLICT IdempotencyConflictError "Idempotency key reused with another body"
    INTERNAL_SERVER_ERROR INTERNAL_SERVER_ERROR InternalServerError "Internal server error"
    MESSAGE_NOT_FOUND NOT_FOUND MessageNotFoundError "Message not found"
    MESSAGE_SEND_FAILED INTERNAL_SERVER_ERROR MessageSendError "Message could not be sent"
    METHOD_NOT_ALLOWED METHOD_NOT_ALLOWED MethodNotAllowedError "Method not allowed"
    NOT_FOUND NOT_FOUND NotFoundError "Not found"
    PAYLOAD_TOO_LARGE PAYLOAD_TOO_LARGE PayloadTooLargeError "The body is too large"
    RATE_LIMIT_EXCEEDED TOO_MANY_REQUESTS RateLimitError "Too many requests"
    SERVICE_UNAVAILABLE SERVICE_UNAVAILABLE ServiceUnavailableError "Service unavailable"
    SESSION_CREATION_FAILED INTERNAL_SERVER_ERROR SessionCreationError "Session could not be created"
    SESSION_EXISTS CONFLICT SessionExistsError "Session exists already"
    SESSION_EXPIRED GONE SessionExpiredError "Session has expired"
    SESSION_NOT_FOUND NOT_FOUND SessionNotFoundError "Session not found"
    SESSION_RENEWAL_FAILED UNPROCESSABLE_ENTITY SessionRenewalError "Session cannot be renewed"
    TURN_CANCELLED CONFLICT TurnCancelledError "The reply was cancelled"
    TURN_CLOSED CONFLICT TurnClosedError "The turn does not wait for a reply"
    UNAUTHORIZED UNAUTHORIZED UnauthorizedError "Credentials are missing or invalid"
    UNSUPPORTED_MEDIA_TYPE UNSUPPORTED_MEDIA_TYPE UnsupportedMediaTypeError "Unsupported media type"
}

/// Returns the kind of invalid input. Its message is made for each error.
pub(super) const fn invalid(name: &'static str) -> Kind {
    Kind {
        status: StatusCode::BAD_REQUEST,
        code: "VALIDATION_ERROR",
        name,
        message: "",
    }
}
