//! Lists sessions by their status, newest first.
//!
//! Most stored sessions may have expired: they are retained for days after a life of minutes. Or
//! almost none have. A scan reads retained sessions from the newest on. Once it has read more
//! sessions of the wrong status than the expiry index would have cost, it switches to that index.
//! So the cost of a page depends on the sessions with the wanted status, or on those that lie
//! between its own, whichever is less; and no session lies between those of two pages.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::application::App;
use super::error::AppError;
use super::sessions::SessionFilter;
use crate::domain::id::SessionId;
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::Timestamp;
use crate::store::Stats;

/// How many sessions one query reads.
const SLICE: usize = 200;

/// The most ids that a scan holds: 256 KiB.
const MAX_IDS: usize = 16_384;

/// How many rows of the expiry index one query reads.
const INDEX_SLICE: usize = 4096;

/// How many rows of the expiry index can be read in the time of one session.
const ROWS_PER_SESSION: u64 = 4;

/// The sessions that a list contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusFilter {
    /// Active sessions.
    #[default]
    Active,
    /// Expired sessions that are still retained.
    Expired,
    /// Both.
    All,
}

/// A scan over the sessions that match a filter.
#[derive(Debug)]
pub struct SessionScan {
    filter: SessionFilter,
    status: StatusFilter,
    remaining: Remaining,
    /// How many of the sessions read had another status.
    others_read: u64,
}

#[derive(Debug)]
enum Remaining {
    /// All retained sessions below an id.
    Retained(Option<SessionId>),
    /// The expired sessions below an id, which are being collected from the index.
    Collecting(NewestExpired),
    /// These sessions, then all retained sessions below the last one if there are more.
    Listed {
        ids: std::vec::IntoIter<SessionId>,
        then: Option<SessionId>,
    },
    Nothing,
}

/// The newest expired sessions below an id, as far as the index has been read.
#[derive(Debug)]
struct NewestExpired {
    below: Option<SessionId>,
    /// The last row that was read: when a session expired, and its id.
    after: (Timestamp, SessionId),
    /// Sessions that expire later do not belong to the list.
    until: Timestamp,
    ids: BinaryHeap<Reverse<SessionId>>,
    has_more: bool,
}

impl StatusFilter {
    /// Returns whether a session has the status.
    #[must_use]
    pub fn matches(self, stage: LifeStage) -> bool {
        match stage {
            LifeStage::Active => self != Self::Expired,
            LifeStage::Expired => self != Self::Active,
            LifeStage::Gone => false,
        }
    }

    /// Returns how many of the counted sessions have the status.
    #[must_use]
    pub fn count(self, stats: Stats) -> u64 {
        match self {
            Self::Active => stats.active,
            Self::Expired => stats.expired,
            Self::All => stats.active + stats.expired,
        }
    }
}

impl SessionScan {
    /// Creates a scan of the sessions with ids below `below`.
    #[must_use]
    pub fn new(filter: SessionFilter, status: StatusFilter, below: Option<SessionId>) -> Self {
        Self {
            filter,
            status,
            remaining: Remaining::Retained(below),
            others_read: 0,
        }
    }

    /// Returns the next sessions, possibly none of this slice; `None` at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self, app: &App) -> Result<Option<Vec<Session>>, AppError> {
        let mut sessions = match std::mem::replace(&mut self.remaining, Remaining::Nothing) {
            Remaining::Nothing => return Ok(None),
            Remaining::Retained(below) => self.next_retained(app, below).await?,
            Remaining::Collecting(newest) => {
                self.remaining = newest.collect(app).await?;
                Vec::new()
            }
            Remaining::Listed { mut ids, then } => {
                let slice: Vec<_> = ids.by_ref().take(SLICE).collect();
                self.remaining = match then {
                    _ if slice.len() == SLICE => Remaining::Listed { ids, then },
                    Some(last) => {
                        self.others_read = 0;
                        Remaining::Retained(Some(last))
                    }
                    None => Remaining::Nothing,
                };
                app.store.sessions_by_id(&slice).await?
            }
        };
        let (now, retention) = (app.now(), app.store.rules().retention);
        let read = sessions.len();
        sessions.retain(|session| self.status.matches(session.life_stage(now, retention)));
        self.others_read += (read - sessions.len()) as u64;
        sessions.retain(|session| self.filter.matches(session));
        Ok(Some(sessions))
    }

    /// Returns the id below which the scan continues, if it is known.
    #[must_use]
    pub fn position(&self) -> Option<SessionId> {
        match &self.remaining {
            Remaining::Retained(below) => *below,
            Remaining::Collecting(newest) => newest.below,
            Remaining::Listed { .. } | Remaining::Nothing => None,
        }
    }

    /// Returns whether all sessions have been returned.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.remaining, Remaining::Nothing)
    }

    async fn next_retained(
        &mut self,
        app: &App,
        below: Option<SessionId>,
    ) -> Result<Vec<Session>, AppError> {
        if let Some(indexed) = self.indexed(app, below).await? {
            self.remaining = indexed;
            return Ok(Vec::new());
        }
        let slice = app.store.sessions(self.filter.user, below, SLICE);
        let (sessions, next) = slice.await?;
        self.remaining = next.map_or(Remaining::Nothing, |next| Remaining::Retained(Some(next)));
        Ok(sessions)
    }

    /// Returns how the scan continues in the index of expiries, if that costs no more than the
    /// sessions of another status that were read so far.
    async fn indexed(
        &self,
        app: &App,
        below: Option<SessionId>,
    ) -> Result<Option<Remaining>, AppError> {
        // The index does not know users: each of its sessions has to be read to filter by one.
        let per_session = self.filter.user.map_or(ROWS_PER_SESSION, |_| 1);
        let max_rows = self.others_read * per_session;
        let now = app.now();
        match self.status {
            StatusFilter::Active if max_rows > 0 => {
                let max_rows = max_rows.min(MAX_IDS as u64);
                let ids = app.store.active_session_ids(below, now, max_rows).await?;
                Ok(ids.map(|ids| Remaining::Listed {
                    ids: ids.into_iter(),
                    then: None,
                }))
            }
            StatusFilter::Expired if max_rows > 0 => {
                let is_affordable = app.store.stats(now).await?.expired <= max_rows;
                let gone = now - app.store.rules().retention;
                Ok(is_affordable.then(|| {
                    Remaining::Collecting(NewestExpired {
                        below,
                        after: (gone, SessionId::from(u128::MAX)),
                        until: now,
                        ids: BinaryHeap::new(),
                        has_more: false,
                    })
                }))
            }
            _ => Ok(None),
        }
    }
}

impl NewestExpired {
    /// Reads the next rows of the index. The rows of expired sessions never change, so the slices
    /// need no common snapshot.
    async fn collect(mut self, app: &App) -> Result<Remaining, AppError> {
        let due = app
            .store
            .due_expiries(Some(self.after), self.until, INDEX_SLICE);
        let due = due.await?;
        let is_last = due.len() < INDEX_SLICE;
        for (at, id) in due {
            self.after = (at, id);
            if self.below.is_none_or(|below| id < below) {
                self.ids.push(Reverse(id));
                if self.ids.len() > MAX_IDS {
                    self.ids.pop();
                    self.has_more = true;
                }
            }
        }
        if !is_last {
            return Ok(Remaining::Collecting(self));
        }
        let ids: Vec<_> = self.ids.into_sorted_vec();
        // `Reverse` sorts the newest first.
        let ids: Vec<_> = ids.into_iter().map(|Reverse(id)| id).collect();
        let then = ids.last().copied().filter(|_| self.has_more);
        Ok(Remaining::Listed {
            ids: ids.into_iter(),
            then,
        })
    }
}
