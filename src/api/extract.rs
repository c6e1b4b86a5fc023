//! What a handler gets of a request, each refused in the API's own error form.

use std::convert::Infallible;

use axum::Extension;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use serde_json::{Map, Value};

use super::access::MAX_BODY;
use super::body;
use super::error::ApiError;
use crate::app::error::ValidationError;
use crate::app::{Scope, Target};
use crate::domain::timeout::kind;
use crate::guard::ClientContext;
use crate::json;

/// A body that is a JSON object.
pub(super) struct JsonObject(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for JsonObject {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::unsupported_media_type());
        }
        if let Some(coding) = body::coding(request.headers()) {
            return Err(ApiError::unsupported_coding(&coding));
        }
        let received = body::read(request, MAX_BODY).await?;
        match json::from_js(received.bytes()) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(other) => {
                let reason = format!("the body must be a JSON object, not {}", kind(&other));
                Err(ValidationError::Body(reason).into())
            }
            Err(error) => {
                let reason = format!("the body is not readable JSON: {}", json::explain(&error));
                Err(ValidationError::Body(reason).into())
            }
        }
    }
}

/// The last part of a path that names something.
pub(super) struct PathId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        // What is not even text is no id, and so simply not found.
        Ok(Self(
            path.map_or_else(|_| "(not UTF-8)".into(), |Path(id)| id),
        ))
    }
}

/// The session that a path names, as its caller meets it.
pub(super) struct SessionPath(pub(super) Target);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let CalledBy(client) = CalledBy::from_request_parts(parts, state).await?;
        let Ok(PathId(name)) = PathId::from_request_parts(parts, state).await;
        Ok(Self(Target {
            name,
            scope: Scope::of(client.principal.user()),
        }))
    }
}

/// Who calls, and from where.
pub(super) struct CalledBy(pub(super) ClientContext);

impl<S: Send + Sync> FromRequestParts<S> for CalledBy {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // The access rule of the route has noted it.
        let client = Extension::<ClientContext>::from_request_parts(parts, state).await;
        let Extension(client) = client.map_err(|_| ApiError::internal())?;
        Ok(Self(client))
    }
}

/// Says that a call with an idempotency key was answered from what an earlier one did.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The `Idempotency-Key` header as it was sent.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("idempotency-key")?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// A missing content type is read as JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_suffixed = essence.starts_with("application/") && essence.ends_with("+json");
    essence == "application/json" || is_suffixed
}
