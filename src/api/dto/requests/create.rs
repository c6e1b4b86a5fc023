//! Creating a session.

use serde::Deserialize;
use utoipa::ToSchema;

use super::fields::{Object, header_key, metadata_schema, require, uuid};
use super::timeout::{self, TimeoutRequest};
use crate::app::CreateRequest;
use crate::app::error::ValidationError;
use crate::domain::continued::ContinueFrom;
use crate::domain::id::{AgentId, MessageId, SessionId, UserId};
use crate::json::{self, Field};
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
    #[serde(default)]
    #[schema(value_type = Option<ContinueFromRequest>)]
    continue_from: Field<Object>,
}

/// The session that a new one continues: it begins with a copy of that one's newest messages, at
/// most 1,000 and 2 MiB. It must have the same user and agent, and may have expired.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ContinueFrom)]
struct ContinueFromRequest {
    /// The session.
    #[serde(default)]
    #[schema(
        required = true, value_type = String, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "018d0d2e-5a83-7c3e-9f5b-3c90c3cc0d44"
    )]
    session_id: Field<String>,
    /// The last message to copy. If it is absent, the newest one.
    #[serde(default)]
    #[schema(
        value_type = Option<String>, format = Uuid,
        pattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        example = "018d0d2e-5b01-7a3e-8f5b-3c90c3cc0d45"
    )]
    up_to_message_id: Field<String>,
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
            continue_from: continue_from(self.continue_from)?,
        })
    }
}

fn continue_from(sent: Field<Object>) -> Result<Option<ContinueFrom>, ValidationError> {
    let members = sent.given().map_err(|found| {
        ValidationError::Body(format!("continueFrom must be an object, not {found}"))
    })?;
    let Some(members) = members else {
        return Ok(None);
    };
    let from: ContinueFromRequest = json::read(members);
    require(&[("continueFrom.sessionId", &from.session_id)])?;
    let session_id = SessionId(uuid("continueFrom.sessionId", from.session_id)?);
    let up_to = match from.up_to_message_id {
        Field::Absent | Field::Null => None,
        given => Some(MessageId(uuid("continueFrom.upToMessageId", given)?)),
    };
    Ok(Some(ContinueFrom { session_id, up_to }))
}
