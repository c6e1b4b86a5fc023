//! Creating a session.

use std::net::IpAddr;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::App;
use super::error::{AppError, ValidationError};
use super::target::Scope;
use crate::domain::error::Refusal;
use crate::domain::id::{AgentId, SessionId, UserId, parse_uuid};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{json_text, metadata};
use crate::domain::session::NewSession;
use crate::domain::timeout::{InvalidTimeout, TimeoutOverrides, kind};
use crate::store::command::{CreateKey, CreateSession, Created};

/// What a client asks for when it creates a session.
#[derive(Debug)]
pub struct CreateRequest {
    /// The body's fields.
    pub fields: Map<String, Value>,
    /// The idempotency key as it was sent.
    pub key: Option<String>,
    /// Whose sessions the caller meets, and so may create.
    pub scope: Scope,
    /// Where the call comes from.
    pub address: IpAddr,
}

impl App {
    /// Creates a session, or finds the one that an earlier call with the same key made.
    ///
    /// # Errors
    /// The input is invalid, the agent is unknown, or the store refuses or fails.
    pub async fn create_session(&self, request: CreateRequest) -> Result<Created, AppError> {
        self.limits.count_create(request.address)?;
        let fields = &request.fields;
        require(fields, &["agentId", "userId"])?;
        let agent_id = AgentId(uuid_field(fields, "agentId")?);
        let user_id = UserId(uuid_field(fields, "userId")?);
        if !request.scope.includes(user_id) {
            return Err(AppError::Forbidden(
                "a user creates sessions of its own alone",
            ));
        }
        let create_key = request.key.as_deref().map(header_key).transpose()?;
        let agent = self
            .agents
            .get(agent_id)
            .ok_or(Refusal::AgentNotFound(agent_id))?;
        let metadata = metadata(fields.get("metadata"))?.unwrap_or_default();
        let asked = timeout_config(fields.get("timeoutConfig"))?;
        let policy = &self.store.rules().policy;
        let command = CreateSession {
            new: NewSession {
                id: SessionId(self.ids.next()),
                agent_id,
                user_id,
                timeout: policy.resolve(asked, agent.character.timeouts),
                metadata: json_text(&metadata),
                create_key,
            },
            asked: CreateKey { timeout: asked },
        };
        Ok(self.store.submit(command).await?)
    }
}

/// An idempotency key from its header.
pub(super) fn header_key(text: &str) -> Result<IdempotencyKey, ValidationError> {
    let wrong = || {
        ValidationError::Body("Idempotency-Key must be 1 to 255 visible ASCII characters".into())
    };
    IdempotencyKey::parse(text).ok_or_else(wrong)
}

/// Refuses fields that are absent, null or empty.
pub(super) fn require(
    fields: &Map<String, Value>,
    names: &[&'static str],
) -> Result<(), ValidationError> {
    let is_missing = |name: &&'static str| match fields.get(*name) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    let missing: Vec<_> = names.iter().copied().filter(is_missing).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ValidationError::MissingFields(missing))
    }
}

pub(super) fn uuid_field(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Uuid, ValidationError> {
    let text = fields.get(field).and_then(Value::as_str);
    text.and_then(parse_uuid)
        .ok_or_else(|| ValidationError::Uuid {
            field,
            value: text.map(str::to_owned),
        })
}

fn timeout_config(value: Option<&Value>) -> Result<TimeoutOverrides, InvalidTimeout> {
    match value {
        None | Some(Value::Null) => Ok(TimeoutOverrides::default()),
        Some(Value::Object(fields)) => TimeoutOverrides::from_request(fields),
        Some(other) => Err(InvalidTimeout {
            field: "timeoutConfig",
            reason: format!("timeoutConfig must be an object, not {}", kind(other)),
        }),
    }
}
