//! Who the caller is.

use axum::Extension;
use axum::http::StatusCode;
use axum::response::Response;

use crate::api::dto::PrincipalInfo;
use crate::api::openapi::examples;
use crate::api::response::json;
use crate::auth::ClientContext;

/// Get the identity of the caller
///
/// The role that the credentials give, and for a user the id that the server derives from the
/// token's `sub`, which is the `userId` of their sessions.
#[utoipa::path(
    get,
    path = "/api/auth/me",
    operation_id = "getCurrentPrincipal",
    tag = "operations",
    responses((
        status = 200, description = "The identity", body = PrincipalInfo,
        examples(
            ("user" = (value = json!(examples::user_principal()))),
            ("admin" = (value = json!(examples::admin_principal()))),
        ),
    )),
)]
pub(in crate::api) async fn me(Extension(client): Extension<ClientContext>) -> Response {
    json(StatusCode::OK, &PrincipalInfo::from(client.principal))
}
