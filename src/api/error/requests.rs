//! Errors that are met before a use case begins.

use axum::http::Method;

use super::{ApiError, echo, kinds};
use crate::app::error::{AppError, Unavailable};
use crate::auth::origin::Foreign;

impl ApiError {
    /// A caller that may not do it.
    pub(in crate::api) fn forbidden(reason: &str) -> Self {
        Self::new(kinds::FORBIDDEN).text(reason)
    }

    /// A caller whose role may not do it.
    pub(in crate::api) fn not_permitted() -> Self {
        Self::forbidden("These credentials do not allow this call")
    }

    /// A web page that may not call.
    pub(in crate::api) fn foreign(foreign: Foreign) -> Self {
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
    pub(super) fn too_many(seconds: u64) -> Self {
        Self::new(kinds::RATE_LIMIT_EXCEEDED)
            .detail("retryAfter", seconds)
            .retry_after(seconds)
    }

    /// A call without valid credentials.
    pub(in crate::api) fn unauthorized() -> Self {
        let text = "Send the server's or the admins' token as X-API-KEY or Authorization: Bearer, \
                    or a user's signed, unexpired JSON Web Token as Authorization: Bearer";
        Self::new(kinds::UNAUTHORIZED).text(text)
    }

    /// A path that is not of the API.
    pub(in crate::api) fn not_found(method: &Method, path: &str) -> Self {
        Self::new(kinds::NOT_FOUND)
            .text(format!("There is no {method} {}", echo(path)))
            .detail("method", method.as_str())
            .detail("path", echo(path))
    }

    /// A method that a path does not have. The router adds the `Allow` header.
    pub(in crate::api) fn method_not_allowed(method: &Method, path: &str) -> Self {
        let path = echo(path);
        Self::new(kinds::METHOD_NOT_ALLOWED)
            .text(format!(
                "{path} has no {method}; the Allow header names the methods it has"
            ))
            .detail("method", method.as_str())
            .detail("path", path)
    }

    /// A body that is too large.
    pub(in crate::api) fn payload_too_large(max: usize) -> Self {
        Self::new(kinds::PAYLOAD_TOO_LARGE).text(format!("The body must be at most {max} bytes"))
    }

    /// A body that is not JSON by its own word.
    pub(in crate::api) fn unsupported_media_type() -> Self {
        Self::new(kinds::UNSUPPORTED_MEDIA_TYPE)
            .text("Content-Type must be application/json, or absent")
    }

    /// A body in a content coding.
    pub(in crate::api) fn unsupported_coding(coding: &str) -> Self {
        let coding = echo(coding);
        let message = format!("Unsupported Content-Encoding {coding:?}");
        Self::with_message(kinds::UNSUPPORTED_MEDIA_TYPE, message).text(format!(
            "The body is sent with Content-Encoding {coding:?}; send it uncompressed"
        ))
    }

    /// Too many bytes of request bodies, or too many connections.
    pub(in crate::api) fn overloaded() -> Self {
        Unavailable::Overloaded.into()
    }

    /// A server that is at fault.
    pub(in crate::api) fn internal() -> Self {
        AppError::Internal.into()
    }

    /// An agent's path that does not even name one.
    pub(in crate::api) fn agent_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::new(kinds::AGENT_NOT_FOUND)
            .text(format!("There is no agent {id}"))
            .detail("agentId", id)
    }

    /// The state of a service that cannot write.
    pub(in crate::api) fn unhealthy() -> Self {
        Unavailable::Storage.into()
    }
}
