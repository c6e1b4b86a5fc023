//! Sessions.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::listing::Listing;
use crate::api::dto::queries::SessionListQuery;
use crate::api::dto::requests::{CreateSessionRequest, TimeoutRequest};
use crate::api::dto::{self, Deleted, SessionInfo, SessionList};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, KeyHeader, Query, REPLAYED, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{
    AgentErrors, AnySessionErrors, BodyErrors, KeyErrors, QueryErrors, RateErrors, RenewalErrors,
    SessionErrors, StorageErrors,
};
use crate::api::state::ApiState;
use crate::app::error::ValidationError;
use crate::app::{App, Scope};
use crate::auth::ClientContext;
use crate::domain::session::Session;

/// `POST /api/messaging/sessions`
#[utoipa::path(
    post,
    path = "/api/messaging/sessions",
    operation_id = "createSession",
    tag = "sessions",
    summary = "Create a session",
    description = "Between a user and an agent. With an `Idempotency-Key`, a repeat by the same user answers with the session that the first call made, for 24 hours or until it has ended.",
    params(KeyHeader),
    request_body(content = CreateSessionRequest),
    responses(
        (
            status = 201,
            description = "The session",
            body = SessionInfo,
            headers(
                ("Location" = String, description = "Where the session is"),
                ("Idempotent-Replayed" = String, description = "`true` where an earlier call with this key has done it"),
            ),
            examples(("created" = (value = json!(examples::created_session())))),
        ),
        BodyErrors,
        AgentErrors,
        KeyErrors,
        RateErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn create(
    State(state): State<ApiState>,
    Extension(client): Extension<ClientContext>,
    KeyHeader { key }: KeyHeader,
    ApiJson(body): ApiJson<CreateSessionRequest>,
) -> Result<Response, ApiError> {
    let request = body.validate(key.as_deref())?;
    let scope = Scope::of(client.principal.user());
    let created = state.app.create_session(request, scope, client.address);
    let created = created.await;
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
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionInfo, examples(("session" = (value = json!(examples::current_session()))))),
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn show(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.session(&session).await?;
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
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionInfo, examples(("session" = (value = json!(examples::current_session()))))),
        SessionErrors,
        RenewalErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn renew(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.renew(&session).await?;
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
    params(SessionPath),
    responses(
        (status = 200, description = "The session", body = SessionInfo, examples(("session" = (value = json!(examples::current_session()))))),
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn heartbeat(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
) -> Result<Response, ApiError> {
    let session = state.app.heartbeat(&session).await?;
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
    params(SessionPath),
    request_body(content = TimeoutRequest),
    responses(
        (status = 200, description = "The session", body = SessionInfo, examples(("session" = (value = json!(examples::patched_session()))))),
        BodyErrors,
        SessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn patch_timeout(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
    ApiJson(body): ApiJson<TimeoutRequest>,
) -> Result<Response, ApiError> {
    let patch = body.validate().map_err(ValidationError::from)?;
    let session = state.app.patch_timeout(&session, patch).await?;
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
    params(SessionPath),
    responses(
        (status = 200, description = "It is erased", body = Deleted, examples(("deleted" = (value = json!(examples::deleted_session()))))),
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn delete(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
) -> Result<Response, ApiError> {
    let id = state.app.delete(&session).await?;
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
    params(SessionListQuery),
    responses(
        (
            status = 200,
            description = "The sessions",
            body = SessionList,
            examples(
                ("last" = (value = json!(examples::session_list()))),
                ("page" = (value = json!(examples::session_page()))),
            ),
        ),
        QueryErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn list(
    State(state): State<ApiState>,
    Extension(client): Extension<ClientContext>,
    Query(query): Query<SessionListQuery>,
) -> Result<Response, ApiError> {
    let page = query.validate()?;
    let scope = Scope::of(client.principal.user());
    let user = page.filter.user;
    if scope != Scope::All && !user.is_some_and(|user| scope.includes(user)) {
        return Err(ApiError::forbidden(
            "A user lists its own sessions: ?userId=",
        ));
    }
    Ok(Listing::new(&state.app, page, scope).respond().await?)
}

fn info(app: &App, session: &Session, status: StatusCode) -> Response {
    dto::json(status, &SessionInfo::new(session, app.now()))
}
