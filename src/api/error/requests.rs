//! Errors of requests that do not reach a use case.

use axum::http::Method;

use super::api_error::{ApiError, echo};
use super::kinds;
use crate::app::MAX_IMPORTED_LINES;
use crate::auth::origin::ForeignPage;

impl ApiError {
    pub(in crate::api) fn forbidden(reason: &str) -> Self {
        Self::new(kinds::FORBIDDEN).text(reason)
    }

    pub(in crate::api) fn not_permitted() -> Self {
        Self::forbidden("These credentials do not permit this call")
    }

    pub(in crate::api) fn foreign_page(foreign: ForeignPage) -> Self {
        Self::forbidden(match foreign {
            ForeignPage::Origin => "This origin is not allowed; CORS_ORIGIN lists the allowed ones",
            ForeignPage::CrossSite => {
                "Cross-site requests are not allowed while no authentication is configured; \
                 CORS_ORIGIN lists the allowed origins"
            }
            ForeignPage::Host => {
                "Host must be localhost or a loopback address while no authentication is configured"
            }
        })
    }

    pub(in crate::api) fn rate_limited(retry_after: u64) -> Self {
        Self::new(kinds::RATE_LIMIT_EXCEEDED)
            .detail("retryAfter", retry_after)
            .retry_after(retry_after)
    }

    pub(in crate::api) fn unauthorized() -> Self {
        Self::new(kinds::UNAUTHORIZED).text(
            "Send the server token or the admin token as X-API-KEY or Authorization: Bearer, or a \
             user's signed and unexpired JSON Web Token as Authorization: Bearer",
        )
    }

    pub(in crate::api) fn not_found(method: &Method, path: &str) -> Self {
        let path = echo(path);
        Self::new(kinds::NOT_FOUND)
            .text(format!("No such endpoint: {method} {path}"))
            .detail("method", method.as_str())
            .detail("path", path)
    }

    pub(in crate::api) fn method_not_allowed(method: &Method, path: &str) -> Self {
        let path = echo(path);
        Self::new(kinds::METHOD_NOT_ALLOWED)
            .text(format!(
                "{path} does not support {method}; the Allow header lists its methods"
            ))
            .detail("method", method.as_str())
            .detail("path", path)
    }

    pub(in crate::api) fn payload_too_large(max: usize) -> Self {
        Self::new(kinds::PAYLOAD_TOO_LARGE).text(format!("The body must be at most {max} bytes"))
    }

    /// `what` the body must be, and its media type.
    pub(in crate::api) fn unsupported_media_type(what: &str, media_type: &str) -> Self {
        Self::with_message(
            kinds::UNSUPPORTED_MEDIA_TYPE,
            format!("Body must be {what}"),
        )
        .text(format!("Content-Type must be {media_type} or absent"))
    }

    /// An import has more than this many bytes, or too many lines.
    pub(in crate::api) fn import_too_large(max_bytes: usize) -> Self {
        let message = format!(
            "An import has at most {max_bytes} bytes and {MAX_IMPORTED_LINES} lines; while the \
             server is stopped, `sessiond import --merge` imports any number"
        );
        Self::with_message(kinds::PAYLOAD_TOO_LARGE, message)
    }

    pub(in crate::api) fn unsupported_coding(coding: &str) -> Self {
        let message = format!("Unsupported Content-Encoding {:?}", echo(coding));
        let text = format!("{message}; send the body uncompressed");
        Self::with_message(kinds::UNSUPPORTED_MEDIA_TYPE, message).text(text)
    }

    /// No agent has this id, which may be any text.
    pub(in crate::api) fn agent_not_found(id: &str) -> Self {
        let id = echo(id);
        Self::new(kinds::AGENT_NOT_FOUND)
            .text(format!("Agent {id} does not exist"))
            .detail("agentId", id)
    }
}
