//! Reads paths, query strings and headers.

use std::convert::Infallible;

use axum::extract::{self, FromRequestParts, Path};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::IntoParams;

use crate::api::dto::queries::LastEventId;
use crate::api::error::ApiError;
use crate::app::error::AppError;
use crate::app::{Scope, SessionRef};
use crate::auth::ClientContext;
use crate::json;

/// The session that a path names, limited to those that the client may know of.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct SessionPath {
    /// The session
    #[param(rename = "sessionId", value_type = String, format = Uuid)]
    pub(in crate::api) session: SessionRef,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::api) struct AgentPath {
    /// The agent
    #[param(rename = "agentId", format = Uuid)]
    pub(in crate::api) agent: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in crate::api) struct KeyHeader {
    /// An idempotency key: 1 to 255 visible ASCII characters
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$")]
    pub(in crate::api) key: Option<String>,
}

/// A query string. Extracting it never fails; the endpoint validates the parameters.
pub(in crate::api) struct Query<T>(pub(in crate::api) T);

impl<S: Send + Sync> FromRequestParts<S> for SessionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        // The access rule of the route has added the client.
        let client = parts.extensions.get::<ClientContext>();
        let user = client.ok_or(AppError::Internal)?.principal.user();
        let session = SessionRef {
            name: path_parameter(parts, state).await,
            scope: Scope::for_user(user),
        };
        Ok(Self { session })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AgentPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let agent = path_parameter(parts, state).await;
        Ok(Self { agent })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for KeyHeader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let key = text(&parts.headers, "idempotency-key");
        Ok(Self { key })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = text(&parts.headers, "last-event-id");
        Ok(Self { id })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequestParts<S> for Query<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Form decoding accepts any string; malformed parts become parameters without a name.
        let query = extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = query.map(|query| query.0).unwrap_or_default();
        let mut parameters = Map::new();
        for (name, value) in pairs {
            parameters.entry(name).or_insert(Value::String(value));
        }
        Ok(Self(json::read(parameters)))
    }
}

async fn path_parameter<S: Send + Sync>(parts: &mut Parts, state: &S) -> String {
    let path = Path::<String>::from_request_parts(parts, state).await;
    // An id that is not UTF-8 is simply not found.
    path.map_or_else(|_| "(not UTF-8)".into(), |Path(name)| name)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}
