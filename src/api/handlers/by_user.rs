//! All sessions of a user.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::UserErased;
use crate::api::dto::queries::ErasedUserQuery;
use crate::api::error::ApiError;
use crate::api::openapi::examples;
use crate::api::openapi::responses::{QueryErrors, StorageErrors};
use crate::api::response::json;
use crate::api::state::ApiState;
use crate::app::Scope;
use crate::auth::ClientContext;

/// Delete all sessions of a user
///
/// Erases every session of the user, active and retained, as `DELETE` of each would, with the
/// user's idempotency keys. For administrators; a user may erase their own. If it fails half-way,
/// what is erased stays erased, and the call can be repeated. Backups that were made before still
/// contain the sessions.
#[utoipa::path(
    delete,
    path = "/api/messaging/sessions",
    operation_id = "deleteUserSessions",
    tag = "sessions",
    params(ErasedUserQuery),
    responses(
        (
            status = 200, description = "Nothing of the user is stored any more",
            body = UserErased,
            examples(("erased" = (value = json!(examples::erased_user())))),
        ),
        QueryErrors,
        StorageErrors,
    ),
)]
pub(in crate::api) async fn erase(
    State(state): State<ApiState>,
    Extension(client): Extension<ClientContext>,
    query: ErasedUserQuery,
) -> Result<Response, ApiError> {
    let user = query.validate()?;
    let scope = Scope::for_user(client.principal.user());
    let deleted = state.app.erase_user(user, scope).await?;
    Ok(json(StatusCode::OK, &UserErased::new(deleted)))
}
