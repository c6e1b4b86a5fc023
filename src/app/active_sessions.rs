//! The active sessions, newest first, slice by slice.
//!
//! Most of what is stored may have expired: a session is kept for days after a life of minutes. A
//! walk reads what is kept from the newest on, where the active ones mostly are. Once it has read
//! so much in vain that the active ones could have been looked up in the expiry index instead, it
//! does that: a list costs what is active, not what is kept.

use super::App;
use super::error::AppError;
use super::sessions::SessionFilter;
use crate::domain::id::SessionId;
use crate::domain::session::{Session, Standing};

/// How many sessions are read at once, and then forgotten.
const SLICE: usize = 200;

/// The most ids that a walk holds: 256 KiB.
const MAX_IDS: u64 = 16_384;

/// How many rows of the expiry index are read in the time of one session.
const ROWS_PER_SESSION: u64 = 4;

/// A walk over the active sessions that a filter matches.
#[derive(Debug)]
pub struct ActiveSessionScan {
    filter: SessionFilter,
    ahead: Ahead,
    /// How many sessions were read that are not active.
    in_vain: u64,
}

/// What a walk has before it.
#[derive(Debug)]
enum Ahead {
    /// All that is kept, from below an id on.
    Kept(Option<SessionId>),
    /// These, which were active when they were looked up.
    Active(std::vec::IntoIter<SessionId>),
    Nothing,
}

impl ActiveSessionScan {
    /// A walk that begins below an id.
    #[must_use]
    pub fn new(filter: SessionFilter, below: Option<SessionId>) -> Self {
        Self {
            filter,
            ahead: Ahead::Kept(below),
            in_vain: 0,
        }
    }

    /// The next sessions, possibly none; none at all at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self, app: &App) -> Result<Option<Vec<Session>>, AppError> {
        let mut sessions = match &mut self.ahead {
            Ahead::Nothing => return Ok(None),
            Ahead::Kept(below) => {
                let below = *below;
                self.next_kept(app, below).await?
            }
            Ahead::Active(ids) => {
                let ids: Vec<_> = ids.take(SLICE).collect();
                if ids.len() < SLICE {
                    self.ahead = Ahead::Nothing;
                }
                app.store.sessions_by_id(&ids).await?
            }
        };
        let (now, kept) = (app.clock.now(), app.store.rules().kept);
        let read = sessions.len();
        sessions.retain(|session| session.standing(now, kept) == Standing::Active);
        self.in_vain += (read - sessions.len()) as u64;
        sessions.retain(|session| self.filter.matches(session));
        Ok(Some(sessions))
    }

    async fn next_kept(
        &mut self,
        app: &App,
        below: Option<SessionId>,
    ) -> Result<Vec<Session>, AppError> {
        let now = app.clock.now();
        let worth = self.worth();
        if worth > 0
            && let Some(ids) = app.store.active_session_ids(below, now, worth).await?
        {
            self.ahead = Ahead::Active(ids.into_iter());
            return Ok(Vec::new());
        }
        let slice = app.store.sessions(self.filter.user, below, SLICE);
        let (sessions, next) = slice.await?;
        self.ahead = next.map_or(Ahead::Nothing, |next| Ahead::Kept(Some(next)));
        Ok(sessions)
    }

    /// How many active sessions may be looked up for what was read in vain.
    fn worth(&self) -> u64 {
        // Of one user there may be few among them, and each has to be read to find that out.
        let per_session = match self.filter.user {
            Some(_) => 1,
            None => ROWS_PER_SESSION,
        };
        MAX_IDS.min(self.in_vain * per_session)
    }
}
