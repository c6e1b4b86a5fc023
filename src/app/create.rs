//! Creating a session.

use std::net::IpAddr;

use super::application::App;
use super::error::AppError;
use super::session_ref::Scope;
use crate::domain::continued::ContinueFrom;
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::session::NewSession;
use crate::domain::timeout::TimeoutOverrides;
use crate::store::command::{Continuation, CreateSession, Created};

/// A request to create a session.
#[derive(Debug)]
pub struct CreateRequest {
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// The idempotency key; a retry with it creates nothing.
    pub key: Option<IdempotencyKey>,
    /// The session's metadata: the text of a JSON object.
    pub metadata: String,
    /// The requested timeouts.
    pub timeout: TimeoutOverrides,
    /// The session that it continues.
    pub continue_from: Option<ContinueFrom>,
}

impl App {
    /// Creates a session, or returns the one that an earlier call with the same key created.
    /// Rate limits count by `address`; over the Unix socket, without an address, none apply.
    ///
    /// # Errors
    /// The user is outside `scope`, the agent or what it continues is unknown, a limit is reached, or
    /// the store fails.
    pub async fn create_session(
        &self,
        request: CreateRequest,
        scope: Scope,
        address: Option<IpAddr>,
    ) -> Result<Created, AppError> {
        let (agent_id, user_id) = (request.agent_id, request.user_id);
        if !scope.includes(user_id) {
            return Err(AppError::Forbidden(
                "userId must be the token's user, which GET /api/auth/me returns",
            ));
        }
        // A retry creates nothing: it needs no agent and does not count against a limit.
        let is_retry = match &request.key {
            Some(key) => {
                self.store
                    .knows_create_key(user_id, key, self.now())
                    .await?
            }
            None => false,
        };
        let agent = self.agents.get(agent_id);
        let mut up_to_at = None;
        if !is_retry {
            if agent.is_none() {
                return Err(RuleViolation::AgentNotFound(agent_id).into());
            }
            if let Some(from) = &request.continue_from {
                up_to_at = self.last_to_copy(from, (user_id, agent_id)).await?;
            }
            if let Some(address) = address {
                self.limits.count_create(address)?;
            }
        }
        let of_agent = agent.as_ref().map(|agent| agent.character.timeouts);
        let policy = &self.store.rules().policy;
        let command = CreateSession {
            new: NewSession {
                id: SessionId(self.new_id()),
                agent_id,
                user_id,
                timeout: policy.resolve(request.timeout, of_agent.unwrap_or_default()),
                metadata: request.metadata,
                create_key: request.key,
            },
            requested_timeout: request.timeout,
            has_agent: agent.is_some(),
            continuation: request.continue_from.map(|from| Continuation {
                from,
                up_to_at,
                ids: self.new_ids(),
            }),
        };
        Ok(self.store.submit(command).await?)
    }
}
