//! Who the caller is.

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::identity::Principal;
use crate::domain::id::UserId;

/// The identity of a client.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PrincipalInfo {
    role: PrincipalRole,
    /// The user's id, if the role is `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    user_id: Option<UserId>,
}

/// The role of a client.
#[derive(ToSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum PrincipalRole {
    Anonymous,
    Server,
    User,
    Admin,
}

impl From<Principal> for PrincipalInfo {
    fn from(principal: Principal) -> Self {
        let role = match principal {
            Principal::Anonymous => PrincipalRole::Anonymous,
            Principal::Server => PrincipalRole::Server,
            Principal::User(_) => PrincipalRole::User,
            Principal::Admin => PrincipalRole::Admin,
        };
        Self {
            role,
            user_id: principal.user(),
        }
    }
}
