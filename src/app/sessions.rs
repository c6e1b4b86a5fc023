//! Renewing, changing, deleting and purging sessions.

use std::sync::Arc;

use super::application::App;
use super::error::{AppError, ValidationError};
use super::session_ref::SessionRef;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::Millis;
use crate::domain::timeout::TimeoutOverrides;
use crate::store::Stats;
use crate::store::command::{DeleteSession, Heartbeat, PatchTimeout, Purge, Renew, UpdateMetadata};
use crate::store::error::SubmitError;

/// How many sessions one query of a user's statistics reads.
const SLICE: usize = 500;

/// A filter of a session list.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionFilter {
    /// Only this agent's sessions.
    pub agent: Option<AgentId>,
    /// Only this user's sessions.
    pub user: Option<UserId>,
}

impl SessionFilter {
    /// Returns whether a session passes the filter.
    #[must_use]
    pub fn matches(&self, session: &Session) -> bool {
        self.agent.is_none_or(|agent| session.agent_id == agent)
            && self.user.is_none_or(|user| session.user_id == user)
    }
}

impl App {
    /// Renews a session at the client's request, whatever its `autoRenew`.
    ///
    /// # Errors
    /// The session is unknown, expired or at its longest duration, or the store fails.
    pub async fn renew(&self, target: &SessionRef) -> Result<Session, AppError> {
        let id = self.reachable_id(target).await?;
        self.renewed(self.store.submit(Renew(id)).await).await
    }

    /// Records activity, which renews a session with `autoRenew`.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn heartbeat(&self, target: &SessionRef) -> Result<Session, AppError> {
        let id = self.reachable_id(target).await?;
        self.renewed(self.store.submit(Heartbeat(id)).await).await
    }

    async fn renewed(&self, session: Result<Session, SubmitError>) -> Result<Session, AppError> {
        let session = session?;
        self.renew_remote(&session).await;
        Ok(session)
    }

    /// Changes a session's timeouts.
    ///
    /// # Errors
    /// A timeout is out of bounds, the session is unknown or expired, or the store fails.
    pub async fn patch_timeout(
        &self,
        target: &SessionRef,
        patch: TimeoutOverrides,
    ) -> Result<Session, AppError> {
        let policy = &self.store.rules().policy;
        policy.check(patch).map_err(ValidationError::from)?;
        let session_id = self.session(target).await?.id;
        let command = PatchTimeout { session_id, patch };
        Ok(self.store.submit(command).await?)
    }

    /// Applies a merge patch to a session's metadata, the text of a JSON object.
    ///
    /// # Errors
    /// The session is unknown or expired, the metadata would be too large, or the store fails.
    pub async fn update_metadata(
        &self,
        target: &SessionRef,
        patch: String,
    ) -> Result<Session, AppError> {
        let session_id = self.session(target).await?.id;
        let command = UpdateMetadata { session_id, patch };
        Ok(self.store.submit(command).await?)
    }

    /// Deletes a session with its messages and stops its turns, even if the caller disconnects.
    ///
    /// # Errors
    /// The session is unknown, or the store fails.
    pub async fn delete(self: &Arc<Self>, target: &SessionRef) -> Result<SessionId, AppError> {
        let id = self.reachable_id(target).await?;
        let app = Arc::clone(self);
        self.run_detached(async move {
            let deleted = app.store.submit(DeleteSession(id)).await?;
            app.forget(&[id]);
            app.delete_remotes(deleted.remote);
            if deleted.has_more {
                app.purge().await?;
            }
            Ok(id)
        })
        .await
    }

    /// Removes all sessions whose retention is over. Returns how many.
    ///
    /// # Errors
    /// The store fails.
    pub async fn purge(&self) -> Result<usize, AppError> {
        let mut slice = Purge::default();
        let mut removed = 0;
        loop {
            let purged = self.store.submit(slice).await?;
            self.forget(&purged.sessions);
            self.delete_expired_remotes(purged.remotes);
            self.metrics.purged.inc_by(purged.sessions.len() as u64);
            removed += purged.sessions.len();
            match purged.next {
                Some(next) => slice = next,
                None => return Ok(removed),
            }
        }
    }

    /// Returns how long sessions are retained after their expiry.
    #[must_use]
    pub fn retention(&self) -> Millis {
        self.store.rules().retention
    }

    /// Counts all sessions by their state.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stats(&self) -> Result<Stats, AppError> {
        Ok(self.store.stats(self.now()).await?)
    }

    /// Counts a user's sessions by their state.
    ///
    /// # Errors
    /// The store fails.
    pub async fn user_stats(&self, user: UserId) -> Result<Stats, AppError> {
        let (now, retention) = (self.now(), self.store.rules().retention);
        let mut stats = Stats::default();
        let mut below = None;
        loop {
            let (sessions, next) = self.store.sessions(Some(user), below, SLICE).await?;
            for session in &sessions {
                match session.life_stage(now, retention) {
                    LifeStage::Active => stats.active += 1,
                    LifeStage::Expired => stats.expired += 1,
                    LifeStage::Gone => {}
                }
                stats.near_expiration += u64::from(session.is_near_expiration(now));
            }
            if next.is_none() {
                return Ok(stats);
            }
            below = next;
            // Reads run on the async worker itself; other tasks run in between.
            tokio::task::yield_now().await;
        }
    }
}
