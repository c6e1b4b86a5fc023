//! Sessions.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::listing;
use crate::api::dto::queries::SessionListQuery;
use crate::api::dto::requests::{CreateSessionRequest, TimeoutRequest};
use crate::api::dto::{Deleted, SessionInfo, SessionList};
use crate::api::error::{ApiError, Call};
use crate::api::extract::{ApiJson, KeyHeader, Query, SessionPath};
use crate::api::openapi::examples;
use crate::api::openapi::responses::{
    AnySessionErrors, BodyErrors, CreateErrors, KeyErrors, QueryErrors, RateErrors, RenewalErrors,
    SessionErrors, StorageErrors,
};
use crate::api::response::{json, mark_replayed};
use crate::api::state::ApiState;
use crate::app::error::ValidationError;
use crate::app::{App, Scope};
use crate::auth::ClientContext;
use crate::domain::session::Session;

/// Create a session
///
/// Between a user and an agent. With an `Idempotency-Key`, a repeat by the same user returns the
/// session that the first call created, for 24 hours or until that session has ended. With
/// `continueFrom`, the new session begins with a copy of another one's messages.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions",
    operation_id = "createSession",
    tag = "sessions",
    params(KeyHeader),
    request_body(content = CreateSessionRequest, example = json!({
        "agentId": "b850bc30-45f8-0041-a00a-83df46d8555d",
        "userId": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "metadata": { "username": "Ada", "platform": "web" },
    })),
    responses(
        (
            status = 201,
            description = "The session",
            body = SessionInfo,
            headers(
                ("Location" = String, description = "The path of the session"),
                (
                    "Idempotent-Replayed" = String,
                    description = "`true` if an earlier call with this key has done it"
                ),
            ),
            examples(("created" = (value = json!(examples::created_session())))),
        ),
        BodyErrors,
        CreateErrors,
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
    let scope = Scope::for_user(client.principal.user());
    let created = state.app.create_session(request, scope, client.address);
    let created = created
        .await
        .map_err(|error| ApiError::from_app(error, Call::Create))?;
    let response = info(&state.app, &created.session, StatusCode::CREATED);
    let location = format!("/api/messaging/sessions/{}", created.session.id);
    let response = ([(header::LOCATION, location)], response).into_response();
    Ok(mark_replayed(response, created.replayed))
}

/// Get a session
///
/// Reading is not activity.
#[utoipa::path(
    get,
    path = "/api/messaging/sessions/{sessionId}",
    operation_id = "getSession",
    tag = "sessions",
    params(SessionPath),
    responses(
        (
            status = 200, description = "The session", body = SessionInfo,
            examples(("session" = (value = json!(examples::current_session())))),
        ),
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

/// Renew a session
///
/// Independent of its `autoRenew`. Fails if the session has reached its maximum duration. A body is
/// ignored.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/renew",
    operation_id = "renewSession",
    tag = "sessions",
    params(SessionPath),
    responses(
        (
            status = 200, description = "The session", body = SessionInfo,
            examples(("session" = (value = json!(examples::current_session())))),
        ),
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

/// Keep a session alive
///
/// Counts as activity, and renews the session if its `autoRenew` is on. A body is ignored.
#[utoipa::path(
    post,
    path = "/api/messaging/sessions/{sessionId}/heartbeat",
    operation_id = "sessionHeartbeat",
    tag = "sessions",
    params(SessionPath),
    responses(
        (
            status = 200, description = "The session", body = SessionInfo,
            examples(("session" = (value = json!(examples::current_session())))),
        ),
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

/// Change the timeouts of a session
///
/// Absent fields stay as they are. This is neither activity nor a renewal. A change that would end
/// the session immediately is refused.
#[utoipa::path(
    patch,
    path = "/api/messaging/sessions/{sessionId}/timeout",
    operation_id = "updateSessionTimeout",
    tag = "sessions",
    params(SessionPath),
    request_body(content = TimeoutRequest, example = json!({ "timeoutMinutes": 60 })),
    responses(
        (
            status = 200, description = "The session", body = SessionInfo,
            examples(("session" = (value = json!(examples::patched_session())))),
        ),
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

/// Delete a session
///
/// Erases the session and its messages immediately. The session may be active or retained.
#[utoipa::path(
    delete,
    path = "/api/messaging/sessions/{sessionId}",
    operation_id = "deleteSession",
    tag = "sessions",
    params(SessionPath),
    responses(
        (
            status = 200, description = "The session is erased", body = Deleted,
            examples(("deleted" = (value = json!(examples::deleted_session())))),
        ),
        AnySessionErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn delete(
    State(state): State<ApiState>,
    SessionPath { session }: SessionPath,
) -> Result<Response, ApiError> {
    let id = state.app.delete(&session).await?;
    Ok(json(StatusCode::OK, &Deleted::new(id)))
}

/// List sessions
///
/// Newest first; active ones unless `status` says otherwise. For administrators; a user may list
/// their own with `userId`. Without `limit`, `cursor`, `q` and a `status` other than `active`, the
/// list is complete, else a page. With `q`, a call searches for at most 250 ms: a page may be short
/// or empty, and the next one continues where it stopped.
#[utoipa::path(
    get,
    path = "/api/messaging/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(SessionListQuery),
    responses(
        (
            status = 200,
            description = "The sessions",
            body = SessionList,
            examples(
                ("last" = (value = json!(examples::session_list()))),
                ("page" = (value = json!(examples::session_page()))),
                ("expired" = (value = json!(examples::expired_sessions()))),
                (
                    "withLastMessages" =
                    (value = json!(examples::sessions_with_last_messages()))
                ),
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
    let scope = Scope::for_user(client.principal.user());
    let user = page.filter.user;
    if scope != Scope::All && !user.is_some_and(|user| scope.includes(user)) {
        let reason = "userId must be given, and be the token's user (GET /api/auth/me)";
        return Err(ApiError::forbidden(reason));
    }
    Ok(listing::respond(state.app, page, scope).await?)
}

fn info(app: &App, session: &Session, status: StatusCode) -> Response {
    json(
        status,
        &SessionInfo::new(session, app.now(), app.retention()),
    )
}
