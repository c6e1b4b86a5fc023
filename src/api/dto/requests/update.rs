//! Changing a session's metadata.

use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Schema;

use super::fields::Object;
use crate::api::dto::schemas::schema;
use crate::app::error::ValidationError;
use crate::json::Field;
use crate::session_json::metadata_patch;

/// Changes of a session.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateSessionRequest {
    #[serde(default)]
    #[schema(required = true, schema_with = patch_schema)]
    metadata: Field<Object>,
}

impl UpdateSessionRequest {
    /// Returns the merge patch of the metadata: the text of a JSON object.
    pub(crate) fn validate(self) -> Result<String, ValidationError> {
        let missing = match self.metadata {
            Field::Absent => ValidationError::MissingFields(vec!["metadata"]),
            _ => ValidationError::Metadata("metadata must be an object, not null".into()),
        };
        metadata_patch("metadata", self.metadata)?.ok_or(missing)
    }
}

fn patch_schema() -> Schema {
    schema(json!({
        "type": "object",
        "description": "A JSON merge patch (RFC 7396): members replace those of the same name, \
            objects are merged, and null removes a member. The result is at most 10,240 bytes",
        "example": { "title": "About the weather", "platform": null },
    }))
}
