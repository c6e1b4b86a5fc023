//! Creating a session.

use std::net::IpAddr;

use super::App;
use super::error::AppError;
use super::target::Scope;
use crate::domain::error::Refusal;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::session::NewSession;
use crate::domain::timeout::TimeoutOverrides;
use crate::store::command::{CreateKey, CreateSession, Created};
use crate::store::error::ReadError;

/// What a client asks for when it creates a session.
#[derive(Debug)]
pub struct CreateRequest {
    /// Who answers.
    pub agent_id: AgentId,
    /// Who asks.
    pub user_id: UserId,
    /// The name of the call, under which a repeat creates nothing.
    pub key: Option<IdempotencyKey>,
    /// The session's metadata: the text of a JSON object.
    pub metadata: String,
    /// How long it lives, as far as the client has a say.
    pub timeout: TimeoutOverrides,
}

impl App {
    /// Creates a session, or finds the one that an earlier call with the same key made. `scope` is
    /// whose sessions the caller meets, and so may create; `address` is where the call comes from, `None`
    /// over the Unix socket, to which no rate limits apply.
    ///
    /// # Errors
    /// The user is another one, the agent is unknown, or a limit or the store refuses or fails.
    pub async fn create_session(
        &self,
        request: CreateRequest,
        scope: Scope,
        address: Option<IpAddr>,
    ) -> Result<Created, AppError> {
        let CreateRequest {
            agent_id, user_id, ..
        } = request;
        if !scope.includes(user_id) {
            return Err(AppError::Forbidden(
                "a user creates sessions of its own alone",
            ));
        }
        let is_repeat = self
            .is_repeated_create(user_id, request.key.as_ref())
            .await?;
        let agent = self.agents.get(agent_id);
        if !is_repeat {
            if agent.is_none() {
                return Err(Refusal::AgentNotFound(agent_id).into());
            }
            if let Some(address) = address {
                self.limits.count_create(address)?;
            }
        }
        let of_agent = agent.as_ref().map(|agent| agent.character.timeouts);
        let policy = &self.store.rules().policy;
        let command = CreateSession {
            new: NewSession {
                id: SessionId(self.ids.next()),
                agent_id,
                user_id,
                timeout: policy.resolve(request.timeout, of_agent.unwrap_or_default()),
                metadata: request.metadata,
                create_key: request.key,
            },
            asked: CreateKey {
                timeout: request.timeout,
            },
            has_agent: agent.is_some(),
        };
        Ok(self.store.submit(command).await?)
    }

    /// Whether an earlier create with this key made a session. Such a call creates nothing, and so
    /// neither needs the agent nor counts against a limit.
    async fn is_repeated_create(
        &self,
        user: UserId,
        key: Option<&IdempotencyKey>,
    ) -> Result<bool, ReadError> {
        let Some(key) = key else {
            return Ok(false);
        };
        let now = self.clock.now();
        self.store.knows_create_key(user, key, now).await
    }
}
