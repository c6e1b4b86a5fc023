//! Sessions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::listing::Listing;
use super::messages::REPLAYED;
use crate::app::{App, CreateRequest, Scope};
use crate::domain::session::Session;
use crate::http::dto::{self, SessionInfo};
use crate::http::error::{ApiError, Call};
use crate::http::extract::{CalledBy, JsonObject, SessionPath, idempotency_key};
use crate::http::query::Parameters;
use crate::http::router::ApiState;

/// `POST /api/messaging/sessions`
pub(in crate::http) async fn create(
    State(state): State<ApiState>,
    CalledBy(visitor): CalledBy,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let request = CreateRequest {
        fields,
        key: idempotency_key(&headers),
        scope: Scope::of(visitor.caller.user()),
        address: visitor.address,
    };
    let created = state.app.create_session(request).await;
    let created = created.map_err(|error| ApiError::of(error, Call::Create))?;
    let mut response = info(&state.app, &created.session, StatusCode::CREATED);
    let location = format!("/api/messaging/sessions/{}", created.session.id);
    // A path of ASCII is a valid header.
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if created.replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// `GET /api/messaging/sessions/{id}`
pub(in crate::http) async fn show(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.session(&target)?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `POST /api/messaging/sessions/{id}/renew`
pub(in crate::http) async fn renew(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.renew(&target).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `POST /api/messaging/sessions/{id}/heartbeat`
pub(in crate::http) async fn heartbeat(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.heartbeat(&target).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `PATCH /api/messaging/sessions/{id}/timeout`
pub(in crate::http) async fn patch_timeout(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let session = state.app.patch_timeout(&target, &fields).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `DELETE /api/messaging/sessions/{id}`
pub(in crate::http) async fn delete(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let id = state.app.delete(&target).await?;
    let message = format!("Session {id} deleted successfully");
    let data = json!({ "success": true, "message": message });
    let body = json!({ "success": true, "message": message, "data": data });
    Ok(dto::json(StatusCode::OK, &body))
}

/// `GET /api/messaging/sessions`
pub(in crate::http) async fn list(
    State(state): State<ApiState>,
    CalledBy(visitor): CalledBy,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let filter = parameters.filter()?;
    let scope = Scope::of(visitor.caller.user());
    if scope != Scope::All && !filter.user.is_some_and(|user| scope.includes(user)) {
        return Err(ApiError::forbidden(
            "A user lists its own sessions: ?userId=",
        ));
    }
    let (below, limit) = parameters.sessions()?;
    Ok(Listing::new(&state.app, (filter, scope), below, limit)
        .respond()
        .await?)
}

fn info(app: &App, session: &Session, status: StatusCode) -> Response {
    dto::json(status, &SessionInfo::new(session, app.now()))
}
