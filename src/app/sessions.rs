//! What can be asked of sessions, beside sending to them.

use std::sync::Arc;

use tracing::Instrument as _;

use super::App;
use super::error::AppError;
use super::target::Target;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::session::{Session, Standing};
use crate::domain::timeout::TimeoutOverrides;
use crate::metrics::{Format, State};
use crate::store::Stats;
use crate::store::command::{DeleteSession, Heartbeat, PatchTimeout, Purge, Renew};

/// How many sessions are read at once where all of a user's are looked at.
const SLICE: usize = 500;

/// Which sessions a list holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionFilter {
    /// Only this agent's.
    pub agent: Option<AgentId>,
    /// Only this user's.
    pub user: Option<UserId>,
}

impl SessionFilter {
    /// Whether a list holds a session.
    #[must_use]
    pub fn matches(&self, session: &Session) -> bool {
        self.agent.is_none_or(|agent| session.agent_id == agent)
            && self.user.is_none_or(|user| session.user_id == user)
    }
}

/// How the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Healthy,
    /// Writes are taken, but something that is stored is damaged.
    Degraded,
    /// Nothing new is stored.
    Unhealthy,
}

/// Why the service is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The last commit failed.
    CommitFailed,
    /// There is no free space for new data.
    NoSpace,
    /// The open database file is not the one at its path.
    FileReplaced,
    /// Stored records cannot be decoded.
    UndecodableRecords,
    /// The last verification of the file found damage.
    DamagedPages,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommitFailed => "commit_failed",
            Self::NoSpace => "no_space",
            Self::FileReplaced => "file_replaced",
            Self::UndecodableRecords => "undecodable_records",
            Self::DamagedPages => "damaged_pages",
        }
    }
}

/// The state of the service.
#[derive(Debug)]
pub struct Health {
    /// How it is.
    pub status: Status,
    /// Why it is not healthy; none where it is.
    pub reasons: Vec<Reason>,
    /// How many sessions there are; none where the database cannot be read.
    pub stats: Option<Stats>,
    /// How many sessions have damaged records.
    pub invalid_sessions: u64,
    /// How long the server has been running.
    pub uptime: std::time::Duration,
}

impl App {
    /// An active session. Reading is not activity.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub async fn session(&self, target: &Target) -> Result<Session, AppError> {
        let now = self.clock.now();
        let session = self.kept_session_at(now, target).await?;
        session.require_active(now, self.store.rules().kept)?;
        Ok(session)
    }

    /// Renews a session by hand.
    ///
    /// # Errors
    /// It is unknown, expired, or has nothing left to give; or the store fails.
    pub async fn renew(&self, target: &Target) -> Result<Session, AppError> {
        let id = self.reachable(target).await?;
        let session = self.store.submit(Renew(id)).await?;
        self.renew_remote(&session).await;
        Ok(session)
    }

    /// Keeps a session alive.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub async fn heartbeat(&self, target: &Target) -> Result<Session, AppError> {
        let id = self.reachable(target).await?;
        let session = self.store.submit(Heartbeat(id)).await?;
        self.renew_remote(&session).await;
        Ok(session)
    }

    /// Changes a session's timeouts.
    ///
    /// # Errors
    /// A timeout is out of bounds, the session is unknown or expired, or the store fails.
    pub async fn patch_timeout(
        &self,
        target: &Target,
        patch: TimeoutOverrides,
    ) -> Result<Session, AppError> {
        self.store.rules().policy.check(patch)?;
        let session_id = self.session(target).await?.id;
        Ok(self
            .store
            .submit(PatchTimeout { session_id, patch })
            .await?)
    }

    /// Erases a session and whatever is going on in it, also where the caller goes away.
    ///
    /// # Errors
    /// It is unknown, or the store fails.
    pub async fn delete(self: &Arc<Self>, target: &Target) -> Result<SessionId, AppError> {
        let id = self.reachable(target).await?;
        let app = Arc::clone(self);
        let erasing = async move {
            let deleted = app.store.submit(DeleteSession(id)).await?;
            app.forget(&[id]);
            app.delete_remotes(deleted.remote);
            if deleted.has_more {
                app.purge().await?;
            }
            Ok::<_, AppError>(id)
        };
        let erased = self.tasks.spawn(erasing.in_current_span());
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
            self.delete_expired_remotes(purged.remotes);
            self.metrics.purged.inc_by(purged.sessions.len() as u64);
            removed += purged.sessions.len();
            match purged.next {
                Some(next) => slice = next,
                None => return Ok(removed),
            }
        }
    }

    /// How many sessions there are of each standing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stats(&self) -> Result<Stats, AppError> {
        Ok(self.store.stats(self.clock.now()).await?)
    }

    /// Returns all metrics as text.
    #[must_use]
    pub async fn metrics_text(&self, format: Format) -> String {
        self.metrics.text(self.state().await.ok(), format)
    }

    /// Measures the room inside the database's file. It takes as long as to read that, so it is
    /// for a thread of its own; a stop ends it early.
    ///
    /// # Errors
    /// The store fails.
    pub fn measure_space(&self) -> Result<(), AppError> {
        Ok(self.store.measure(&|| self.stopping.is_cancelled())?)
    }

    async fn state(&self) -> Result<State, AppError> {
        let stats = self.stats().await?;
        let health = self.store.health();
        let rows = self.store.row_counts().await?;
        let storage = self.store.storage().await?;
        Ok(State {
            active: stats.active,
            expiring_soon: stats.near_expiration,
            kept: stats.expired,
            invalid: health.undecodable_sessions,
            messages: rows.messages,
            open_turns: rows.open_turns,
            database_bytes: storage.bytes,
            database_used_bytes: storage.used_bytes,
            is_healthy: health.is_writable(),
            damaged_pages: health.damaged_pages,
            verified_at: storage.verified.map(|verified| verified.at),
        })
    }

    /// How many sessions of a user there are of each standing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stats_of(&self, user: UserId) -> Result<Stats, AppError> {
        let (now, kept) = (self.clock.now(), self.store.rules().kept);
        let mut stats = Stats::default();
        let mut below = None;
        loop {
            let (sessions, next) = self.store.sessions(Some(user), below, SLICE).await?;
            for session in &sessions {
                match session.standing(now, kept) {
                    Standing::Active => stats.active += 1,
                    Standing::Expired => stats.expired += 1,
                    Standing::Gone => {}
                }
                stats.near_expiration += u64::from(session.is_near_expiration(now));
            }
            if next.is_none() {
                return Ok(stats);
            }
            below = next;
            // It is read on the worker itself: others get their turn in between.
            tokio::task::yield_now().await;
        }
    }

    /// How the service is.
    #[must_use]
    pub async fn health(&self) -> Health {
        let counted = self.stats().await.ok();
        let store = self.store.health();
        // What cannot even be counted is damaged, unless there is a better reason.
        let is_unreadable = counted.is_none() && store.is_writable();
        let reasons: Vec<_> = [
            (store.commit_failed, Reason::CommitFailed),
            (store.no_space, Reason::NoSpace),
            (store.file_replaced, Reason::FileReplaced),
            (store.undecodable_sessions > 0, Reason::UndecodableRecords),
            (
                store.damaged_pages > 0 || is_unreadable,
                Reason::DamagedPages,
            ),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect();
        let status = match reasons.first() {
            _ if !store.is_writable() || counted.is_none() => Status::Unhealthy,
            None => Status::Healthy,
            Some(_) => Status::Degraded,
        };
        Health {
            status,
            reasons,
            stats: counted,
            invalid_sessions: store.undecodable_sessions,
            uptime: self.started.elapsed(),
        }
    }
}
