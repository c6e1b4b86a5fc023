//! Creating a session.

use serde::Deserialize;
use utoipa::ToSchema;

use super::fields::{Object, header_key, metadata_schema, require, uuid};
use super::timeout::{self, TimeoutRequest};
use crate::app::CreateRequest;
use crate::app::error::ValidationError;
use crate::domain::id::{AgentId, UserId};
use crate::json::Field;
use crate::message_json::session_metadata;

/// A new session.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateSessionRequest {
    /// The agent that replies.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "b850bc30-45f8-0041-a00a-83df46d8555d"
    )]
    agent_id: Field<String>,
    /// The user: any UUID that the client chooses.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    )]
    user_id: Field<String>,
    #[serde(default)]
    #[schema(schema_with = metadata_schema)]
    metadata: Field<Object>,
    /// The timeouts. Absent ones are taken from the agent's settings, else from the server's.
    #[serde(default)]
    #[schema(schema_with = timeout::nullable_schema)]
    timeout_config: Field<Object>,
}

impl CreateSessionRequest {
    /// Validates the fields and the key of the header. Fails with all missing fields, else with the
    /// first invalid one.
    pub(crate) fn validate(self, key: Option<&str>) -> Result<CreateRequest, ValidationError> {
        require(&[("agentId", &self.agent_id), ("userId", &self.user_id)])?;
        Ok(CreateRequest {
            agent_id: AgentId(uuid("agentId", self.agent_id)?),
            user_id: UserId(uuid("userId", self.user_id)?),
            key: header_key(key)?,
            metadata: session_metadata(self.metadata)?,
            timeout: TimeoutRequest::validate_field("timeoutConfig", self.timeout_config)?,
        })
    }
}
