//! What is exported.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::dto::requests::fields;
use crate::app::ExportSelection;
use crate::app::error::ValidationError;
use crate::domain::id::UserId;
use crate::json::Field;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Only this session
    #[param(format = Uuid)]
    pub(super) session: Option<String>,
    /// Only the sessions of this user; not together with `session`
    #[param(format = Uuid)]
    pub(super) user_id: Option<String>,
}

impl ExportQuery {
    /// Returns what to export. Fails if that is not clear.
    pub(crate) fn validate(self) -> Result<ExportSelection, ValidationError> {
        match (self.session, self.user_id) {
            (None, None) => Ok(ExportSelection::All),
            (Some(session), None) => Ok(ExportSelection::Session(session)),
            (None, Some(user)) => {
                let user = fields::uuid("userId", Field::Value(user))?;
                Ok(ExportSelection::User(UserId(user)))
            }
            (Some(_), Some(value)) => Err(ValidationError::Pagination {
                parameter: "userId",
                value,
                reason: "userId and session exclude each other: give one of them, or none".into(),
            }),
        }
    }
}
