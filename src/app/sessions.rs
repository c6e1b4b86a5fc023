//! What can be asked of sessions, beside sending to them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::App;
use super::error::AppError;
use crate::domain::error::Refusal;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::session::{Session, Standing};
use crate::domain::timeout::TimeoutOverrides;
use crate::metrics::State;
use crate::store::command::{DeleteSession, Heartbeat, PatchTimeout, Purge, Renew};
use crate::store::reader::Stats;

/// Which sessions a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionFilter {
    /// Only this agent's.
    pub agent: Option<AgentId>,
    /// Only this user's.
    pub user: Option<UserId>,
}

/// A slice of a list.
#[derive(Debug)]
pub struct SessionSlice {
    /// Active sessions that the filter matches, newest first.
    pub sessions: Vec<Session>,
    /// Where the next slice begins; none at the end.
    pub next: Option<SessionId>,
}

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Healthy,
    /// Some stored records are damaged.
    Degraded,
    /// The last commit failed.
    Unhealthy,
}

/// The state of the service.
#[derive(Debug)]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// How many sessions there are; none where the database cannot be read.
    pub stats: Option<Stats>,
    /// How many sessions have damaged records.
    pub invalid_sessions: u64,
    /// How long the server has been running.
    pub uptime: std::time::Duration,
}

impl App {
    /// An active session, as its path names it. Reading is not activity.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub fn session(&self, path: &str) -> Result<Session, AppError> {
        let session = self.kept_session(path)?;
        session.require_active(self.clock.now(), self.store.rules().kept)?;
        Ok(session)
    }

    /// A session that is active or still kept.
    pub(super) fn kept_session(&self, path: &str) -> Result<Session, AppError> {
        let id = session_id(path)?;
        let kept = self.store.rules().kept;
        match self.store.read(|reader| reader.session(id))? {
            Some(session) if session.standing(self.clock.now(), kept) != Standing::Gone => {
                Ok(session)
            }
            _ => Err(Refusal::SessionNotFound(id).into()),
        }
    }

    /// Renews a session by hand.
    ///
    /// # Errors
    /// It is unknown, expired, or has nothing left to give; or the store fails.
    pub async fn renew(&self, path: &str) -> Result<Session, AppError> {
        Ok(self.store.submit(Renew(session_id(path)?)).await?)
    }

    /// Keeps a session alive.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub async fn heartbeat(&self, path: &str) -> Result<Session, AppError> {
        Ok(self.store.submit(Heartbeat(session_id(path)?)).await?)
    }

    /// Changes a session's timeouts.
    ///
    /// # Errors
    /// It is unknown or expired, a field is invalid, or the store fails.
    pub async fn patch_timeout(
        &self,
        path: &str,
        fields: &Map<String, Value>,
    ) -> Result<Session, AppError> {
        let session_id = self.session(path)?.id;
        let command = PatchTimeout {
            session_id,
            patch: TimeoutOverrides::from_request(fields)?,
        };
        Ok(self.store.submit(command).await?)
    }

    /// Erases a session and whatever is going on in it, also where the caller goes away.
    ///
    /// # Errors
    /// It is unknown, or the store fails.
    pub async fn delete(self: &Arc<Self>, path: &str) -> Result<SessionId, AppError> {
        let id = session_id(path)?;
        let app = Arc::clone(self);
        let erased = self.tasks.spawn(async move {
            let has_more = app.store.submit(DeleteSession(id)).await?;
            app.forget(&[id]);
            if has_more {
                app.purge().await?;
            }
            Ok::<_, AppError>(id)
        });
        erased.await.map_err(|_| AppError::Internal)?
    }

    /// Removes what is past its keeping, slice by slice.
    ///
    /// # Errors
    /// The store fails.
    pub async fn purge(&self) -> Result<usize, AppError> {
        let mut slice = Purge::default();
        let mut removed = 0;
        loop {
            let purged = self.store.submit(slice).await?;
            self.forget(&purged.sessions);
            self.metrics
                .clock
                .purged
                .inc_by(purged.sessions.len() as u64);
            removed += purged.sessions.len();
            match purged.next {
                Some(next) => slice = next,
                None => return Ok(removed),
            }
        }
    }

    /// A slice of the active sessions below an id, newest first, of about `limit` rows read.
    ///
    /// # Errors
    /// The store fails.
    pub fn session_slice(
        &self,
        filter: SessionFilter,
        below: Option<SessionId>,
        limit: usize,
    ) -> Result<SessionSlice, AppError> {
        let (mut sessions, next) = self.store.read(|reader| match filter.user {
            Some(user) => reader.user_sessions_below(user, below, limit),
            None => reader.sessions_below(below, limit),
        })?;
        let (now, kept) = (self.clock.now(), self.store.rules().kept);
        sessions.retain(|session| {
            session.standing(now, kept) == Standing::Active
                && filter.agent.is_none_or(|agent| session.agent_id == agent)
        });
        Ok(SessionSlice { sessions, next })
    }

    /// How many sessions there are of each standing.
    ///
    /// # Errors
    /// The store fails.
    pub fn stats(&self) -> Result<Stats, AppError> {
        let rules = self.store.rules();
        Ok(self
            .store
            .read(|reader| reader.stats(self.clock.now(), rules))?)
    }

    /// All figures as text.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics.text(self.state().ok())
    }

    fn state(&self) -> Result<State, AppError> {
        let stats = self.stats()?;
        // The method itself is not general enough over the snapshot's lifetime.
        #[allow(clippy::redundant_closure_for_method_calls)]
        let (messages, open_turns) = self.store.read(|reader| reader.row_counts())?;
        Ok(State {
            active: stats.active,
            expiring_soon: stats.near_expiration,
            kept: stats.expired,
            invalid: self.store.damaged_sessions(),
            messages,
            open_turns,
            database_bytes: self.store.file_bytes(),
            is_healthy: self.store.is_healthy(),
        })
    }

    /// How the service is.
    #[must_use]
    pub fn health(&self) -> Health {
        let counted = self.stats().ok();
        let invalid_sessions = self.store.damaged_sessions();
        let status = match (
            self.store.is_healthy() && counted.is_some(),
            invalid_sessions,
        ) {
            (false, _) => Status::Unhealthy,
            (true, 0) => Status::Healthy,
            (true, _) => Status::Degraded,
        };
        Health {
            status,
            stats: counted,
            invalid_sessions,
            uptime: self.started.elapsed(),
        }
    }
}

/// The session that a path names. What is no id names none.
fn session_id(path: &str) -> Result<SessionId, AppError> {
    SessionId::parse(path).ok_or_else(|| AppError::UnknownSession(path.to_owned()))
}
