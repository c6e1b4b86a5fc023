//! Sessions.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::listing::Listing;
use crate::api::dto::{self, Deleted, SessionInfo};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{CalledBy, JsonObject, REPLAYED, SessionPath, idempotency_key};
use crate::api::openapi::bodies;
use crate::api::query::Parameters;
use crate::api::state::ApiState;
use crate::app::{App, CreateRequest, Scope};
use crate::domain::session::Session;

/// `POST /api/messaging/sessions`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions",
    operation_id = "createSession",
    tag = "sessions",
    summary = "Create a session",
    description = "Between a user and an agent. With an `Idempotency-Key`, a repeat by the same user answers with the session that the first call made, for 24 hours or until it has ended.",
    params(("Idempotency-Key" = Option<String>, Header, description = "A name for the call, under which a repeat stores nothing: 1 to 255 visible ASCII characters", pattern = "^[!-~]{1,255}$")),
    request_body(content = bodies::CreateSessionRequest),
    responses((status = 201, description = "The session", body = SessionInfo, headers(("Location" = String, description = "Where the session is"), ("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it")))),
)]
pub(in crate::api) async fn create(
    State(state): State<ApiState>,
    CalledBy(visitor): CalledBy,
    headers: HeaderMap,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let request = CreateRequest {
        fields,
        key: idempotency_key(&headers),
        scope: Scope::of(visitor.principal.user()),
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
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}",
    operation_id = "getSession",
    tag = "sessions",
    summary = "Get a session",
    description = "Reading is not activity.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session")),
    responses((status = 200, description = "The session", body = SessionInfo)),
)]
pub(in crate::api) async fn show(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.session(&target)?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `POST /api/messaging/sessions/{id}/renew`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/renew",
    operation_id = "renewSession",
    tag = "sessions",
    summary = "Renew a session",
    description = "Whatever its `autoRenew` is, unless it already lasts as long as it can. A body is not needed, and ignored.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session")),
    responses((status = 200, description = "The session", body = SessionInfo)),
)]
pub(in crate::api) async fn renew(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.renew(&target).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `POST /api/messaging/sessions/{id}/heartbeat`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/heartbeat",
    operation_id = "sessionHeartbeat",
    tag = "sessions",
    summary = "Keep a session alive",
    description = "Counts as activity, and renews the session if its `autoRenew` is on. A body is not needed, and ignored.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session")),
    responses((status = 200, description = "The session", body = SessionInfo)),
)]
pub(in crate::api) async fn heartbeat(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.heartbeat(&target).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `PATCH /api/messaging/sessions/{id}/timeout`
#[utoipa::path(
    patch,
    path = "/api/messaging/sessions/{sessionId}/timeout",
    operation_id = "updateSessionTimeout",
    tag = "sessions",
    summary = "Change the timeouts of a session",
    description = "What is absent stays as it is. This is neither activity nor a renewal; a change that would end the session at once is refused.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session")),
    request_body(content = bodies::TimeoutRequest),
    responses((status = 200, description = "The session", body = SessionInfo)),
)]
pub(in crate::api) async fn patch_timeout(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
    JsonObject(fields): JsonObject,
) -> Result<Response, ApiError> {
    let session = state.app.patch_timeout(&target, &fields).await?;
    Ok(info(&state.app, &session, StatusCode::OK))
}

/// `DELETE /api/messaging/sessions/{id}`
#[utoipa::path(
    delete,
    path = "/api/messaging/sessions/{sessionId}",
    operation_id = "deleteSession",
    tag = "sessions",
    summary = "Delete a session",
    description = "Erases the session and its messages at once, also one that has expired and is still kept.",
    params(("sessionId" = String, Path, format = Uuid, description = "The session")),
    responses((status = 200, description = "It is erased", body = Deleted)),
)]
pub(in crate::api) async fn delete(
    State(state): State<ApiState>,
    SessionPath(target): SessionPath,
) -> Result<Response, ApiError> {
    let id = state.app.delete(&target).await?;
    Ok(dto::json(StatusCode::OK, &Deleted::new(id)))
}

/// `GET /api/messaging/sessions`
#[utoipa::path(
    get,
    path = "/api/messaging/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    summary = "List the active sessions",
    description = "Newest first. For administrators; a user may list their own with `userId`.",
    params(
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "How many to a page; all where neither this nor `cursor` is given"),
        ("cursor" = Option<String>, Query, format = Uuid, description = "The `nextCursor` of the page before"),
        ("agentId" = Option<String>, Query, format = Uuid, description = "Only the sessions of this agent"),
        ("userId" = Option<String>, Query, format = Uuid, description = "Only the sessions of this user"),
    ),
    responses((status = 200, description = "The sessions", body = bodies::SessionList)),
)]
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    CalledBy(visitor): CalledBy,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let filter = parameters.filter()?;
    let scope = Scope::of(visitor.principal.user());
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
