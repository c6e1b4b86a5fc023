//! Reads bodies of JSON.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body::Body as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::access::BODY_LIMIT;
use crate::api::body;
use crate::api::error::ApiError;
use crate::app::error::ValidationError;
use crate::connections::Connection;
use crate::json::{self, kind};

/// A body that is a JSON object.
pub(in crate::api) struct ApiJson<T>(pub(in crate::api) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::unsupported_media_type("JSON", "application/json"));
        }
        if let Some(coding) = coding(request.headers()) {
            return Err(ApiError::unsupported_coding(&coding));
        }
        let (parts, body) = request.into_parts();
        let connection = parts.extensions.get::<Arc<Connection>>();
        let received = body::read(connection, body, BODY_LIMIT).await?;
        Ok(Self(read(&received.bytes)?))
    }
}

/// An optional body that is a JSON object.
pub(in crate::api) struct OptionalJson<T>(pub(in crate::api) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // Some clients label an empty body as a form.
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        let ApiJson(body) = ApiJson::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// Parses an object. Unknown members must be valid JSON too.
pub(in crate::api) fn read<T: DeserializeOwned + Default>(
    text: &[u8],
) -> Result<T, ValidationError> {
    let body = json::from_js(text).map_err(|error| {
        let reason = json::explain(&error);
        ValidationError::Body(format!("the body is not valid JSON: {reason}"))
    })?;
    match body {
        Value::Object(members) => Ok(json::read(members)),
        other => {
            let reason = format!("the body must be a JSON object, not {}", kind(&other));
            Err(ValidationError::Body(reason))
        }
    }
}

/// Returns whether the content type is JSON, or absent.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(essence) = media_type(headers) else {
        return true;
    };
    let is_suffixed = essence.starts_with("application/") && essence.ends_with("+json");
    essence == "application/json" || is_suffixed
}

/// Returns the media type in lower case, without its parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?;
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// Returns the content coding other than identity. No coding is supported.
pub(super) fn coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    let mut coded = values.filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"));
    coded.next()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn codings_other_than_identity_are_reported() {
        let coding_of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(value));
            coding(&headers)
        };
        assert_eq!(coding(&HeaderMap::new()), None);
        assert_eq!(coding_of("Identity"), None);
        assert_eq!(coding_of(""), None);
        assert_eq!(coding_of("gzip"), Some("gzip".into()));
        assert_eq!(coding_of("br, gzip"), Some("br, gzip".into()));
    }
}
