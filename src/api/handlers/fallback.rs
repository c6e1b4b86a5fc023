//! What is answered where there is no such route. Nobody learns that without credentials.

use axum::Extension;
use axum::http::{Method, Uri};

use crate::api::authentication::Authentication;
use crate::api::error::ApiError;
use crate::auth::access::Access;

/// A path that no route has.
pub(in crate::api) async fn not_found(
    Extension(authentication): Extension<Authentication>,
    method: Method,
    uri: Uri,
) -> ApiError {
    let admitted = authentication.admit(Access::Authenticated);
    admitted.map_or_else(ApiError::from, |_| ApiError::not_found(&method, uri.path()))
}

/// A method that a path does not have. The router adds the `Allow` header.
pub(in crate::api) async fn method_not_allowed(
    Extension(authentication): Extension<Authentication>,
    method: Method,
    uri: Uri,
) -> ApiError {
    let admitted = authentication.admit(Access::Authenticated);
    admitted.map_or_else(ApiError::from, |_| {
        ApiError::method_not_allowed(&method, uri.path())
    })
}
