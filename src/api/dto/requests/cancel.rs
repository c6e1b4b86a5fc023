//! Cancelling turns.

use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::fields::uuid;
use crate::api::dto::schemas::schema;
use crate::app::Cancellation;
use crate::app::error::ValidationError;
use crate::domain::id::MessageId;
use crate::json::Field;

/// Which turns are cancelled
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CancelRequest {
    #[serde(default)]
    #[schema(schema_with = message_schema)]
    message_id: Field<String>,
    /// Whether the text that was already sent becomes the reply. True if absent.
    #[serde(default)]
    #[schema(value_type = Option<bool>, example = true)]
    keep_partial: Field<bool>,
}

impl CancelRequest {
    /// Validates the fields, in this order.
    pub(crate) fn validate(self) -> Result<Cancellation, ValidationError> {
        let message_id = match self.message_id {
            Field::Absent | Field::Null => None,
            sent => Some(MessageId(uuid("messageId", sent)?)),
        };
        let keep_partial = self.keep_partial.given().map_err(|found| {
            ValidationError::Body(format!("keepPartial must be true or false, not {found}"))
        })?;
        Ok(Cancellation {
            message_id,
            keep_partial: keep_partial.unwrap_or(true),
        })
    }
}

fn message_schema() -> Schema {
    schema(json!({
        "type": ["string", "null"],
        "format": "uuid",
        "example": "018d0d2e-5b01-7a3e-8f5b-3c90c3cc0d45",
        "description": "The user's message; all whose turns are open if it is absent",
    }))
}
