//! All sessions of a user.

use serde::Serialize;
use utoipa::ToSchema;

/// The response to the deletion of a user's sessions.
#[derive(ToSchema, Serialize)]
pub(in crate::api) struct UserErased {
    success: bool,
    /// The number of sessions that were deleted.
    deleted: u64,
    data: UserErasedData,
}

/// The same fields, for clients that unwrap `data`.
#[derive(ToSchema, Serialize)]
struct UserErasedData {
    success: bool,
    deleted: u64,
}

impl UserErased {
    pub(in crate::api) fn new(deleted: u64) -> Self {
        let success = true;
        let data = UserErasedData { success, deleted };
        Self {
            success,
            deleted,
            data,
        }
    }
}
