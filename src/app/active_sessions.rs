//! Lists active sessions, newest first.
//!
//! Most stored sessions may have expired: they are retained for days after a life of minutes. A
//! scan reads retained sessions from the newest on, where most active ones are. Once it has read
//! more expired ones than the expiry index would have cost, it switches to that index. So the cost
//! of a list depends on the number of active sessions, not of retained ones.

use super::application::App;
use super::error::AppError;
use super::sessions::SessionFilter;
use crate::domain::id::SessionId;
use crate::domain::session::{LifeStage, Session};

/// How many sessions one query reads.
const SLICE: usize = 200;

/// The most ids that a scan holds: 256 KiB.
const MAX_IDS: u64 = 16_384;

/// How many rows of the expiry index can be read in the time of one session.
const ROWS_PER_SESSION: u64 = 4;

/// A scan over the active sessions that match a filter.
#[derive(Debug)]
pub struct ActiveSessionScan {
    filter: SessionFilter,
    remaining: Remaining,
    /// How many of the sessions read were not active.
    inactive_read: u64,
}

#[derive(Debug)]
enum Remaining {
    /// All retained sessions below an id.
    Retained(Option<SessionId>),
    /// These sessions, which were active when the index was read.
    Active(std::vec::IntoIter<SessionId>),
    Nothing,
}

impl ActiveSessionScan {
    /// Creates a scan of the sessions with ids below `below`.
    #[must_use]
    pub fn new(filter: SessionFilter, below: Option<SessionId>) -> Self {
        Self {
            filter,
            remaining: Remaining::Retained(below),
            inactive_read: 0,
        }
    }

    /// Returns the next sessions, possibly none of this slice; `None` at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self, app: &App) -> Result<Option<Vec<Session>>, AppError> {
        let mut sessions = match &mut self.remaining {
            Remaining::Nothing => return Ok(None),
            Remaining::Retained(below) => {
                let below = *below;
                self.next_retained(app, below).await?
            }
            Remaining::Active(ids) => {
                let ids: Vec<_> = ids.take(SLICE).collect();
                if ids.len() < SLICE {
                    self.remaining = Remaining::Nothing;
                }
                app.store.sessions_by_id(&ids).await?
            }
        };
        let (now, retention) = (app.now(), app.store.rules().retention);
        let read = sessions.len();
        sessions.retain(|session| session.life_stage(now, retention) == LifeStage::Active);
        self.inactive_read += (read - sessions.len()) as u64;
        sessions.retain(|session| self.filter.matches(session));
        Ok(Some(sessions))
    }

    async fn next_retained(
        &mut self,
        app: &App,
        below: Option<SessionId>,
    ) -> Result<Vec<Session>, AppError> {
        let max_rows = self.affordable_index_rows();
        if max_rows > 0
            && let Some(ids) = app
                .store
                .active_session_ids(below, app.now(), max_rows)
                .await?
        {
            self.remaining = Remaining::Active(ids.into_iter());
            return Ok(Vec::new());
        }
        let slice = app.store.sessions(self.filter.user, below, SLICE);
        let (sessions, next) = slice.await?;
        self.remaining = next.map_or(Remaining::Nothing, |next| Remaining::Retained(Some(next)));
        Ok(sessions)
    }

    /// Returns how many index rows cost no more than the inactive sessions read so far.
    fn affordable_index_rows(&self) -> u64 {
        // The index does not know users: each of its sessions has to be read to filter by one.
        let per_session = self.filter.user.map_or(ROWS_PER_SESSION, |_| 1);
        MAX_IDS.min(self.inactive_read * per_session)
    }
}
