//! Responses to requests that no route matches. Without credentials that is 401, which reveals no
//! paths.

use axum::Extension;
use axum::http::{Method, Uri};

use crate::api::authentication::Authentication;
use crate::api::error::ApiError;
use crate::auth::access::Access;

pub(in crate::api) async fn not_found(
    Extension(client): Extension<Authentication>,
    method: Method,
    uri: Uri,
) -> ApiError {
    let denied = client.admit(Access::Authenticated).err();
    denied.map_or_else(
        || ApiError::not_found(&method, uri.path()),
        |denied| *denied,
    )
}

/// Responds to a method that a path does not support. The router adds the `Allow` header.
pub(in crate::api) async fn method_not_allowed(
    Extension(client): Extension<Authentication>,
    method: Method,
    uri: Uri,
) -> ApiError {
    let denied = client.admit(Access::Authenticated).err();
    denied.map_or_else(
        || ApiError::method_not_allowed(&method, uri.path()),
        |denied| *denied,
    )
}
