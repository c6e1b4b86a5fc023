//! Queries for sessions.

use std::cmp::Reverse;
use std::ops::Bound;

use redb::ReadableTableMetadata as _;

use crate::domain::id::{MessageId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::command::is_remembered;
use crate::store::error::ReadResult;
use crate::store::handle::Store;
use crate::store::quarantine::location::{RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::counters::{active_rows, moved};
use crate::store::schema::deadline::{Deadline, Index};
use crate::store::schema::record;
use crate::store::schema::tables::{CREATE_KEYS, USER_SESSIONS};

/// A session, and the state of its conversation.
#[derive(Debug)]
pub struct StoredSession {
    /// The session, active or not.
    pub session: Session,
    /// Whether a turn is open.
    pub has_open_turns: bool,
    /// The time of the newest message; none if there are no messages.
    pub newest: Option<Timestamp>,
    /// The id of the future reply to the message that was asked about, if its turn is open.
    pub open_reply: Option<MessageId>,
}

/// The numbers of sessions, for health and totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Active sessions.
    pub active: u64,
    /// Sessions that have expired and are still retained.
    pub expired: u64,
    /// Active sessions within their warning threshold.
    pub near_expiration: u64,
}

/// The numbers of rows of the largest tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// Sessions, active and expired.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Open turns.
    pub open_turns: u64,
}

impl Store {
    /// Returns a session, active or not. Fails on a damaged record.
    pub async fn session(&self, id: SessionId) -> ReadResult<Option<Session>> {
        self.read(|reader| reader.session(id))
    }

    /// Returns a session, active or not, and the state of its conversation; also whether the turn of
    /// `message` is open. Fails on a damaged record.
    pub async fn session_state(
        &self,
        id: SessionId,
        message: Option<MessageId>,
    ) -> ReadResult<Option<StoredSession>> {
        self.read(|reader| {
            let Some(session) = reader.session(id)? else {
                return Ok(None);
            };
            Ok(Some(StoredSession {
                session,
                has_open_turns: reader.next_turn(id)?.is_some(),
                newest: reader.newest_message(id, |message| message.created_at)?,
                open_reply: match message {
                    Some(message) => reader.open_reply(id, message)?,
                    None => None,
                },
            }))
        })
    }

    /// Returns sessions of one user, or of all, active or not, in descending order of their ids
    /// below `below`, and the id at which the next page continues. Damaged sessions are left out.
    pub async fn sessions(
        &self,
        user: Option<UserId>,
        below: Option<SessionId>,
        limit: usize,
    ) -> ReadResult<(Vec<Session>, Option<SessionId>)> {
        let end = below.map_or(Bound::Unbounded, |below| Bound::Excluded(u128::from(below)));
        self.read(|reader| {
            let mut sessions = Vec::with_capacity(limit);
            let mut last = None;
            let Some(user) = user.map(u128::from) else {
                let rows = reader.snapshot.sessions.range((Bound::Unbounded, end))?;
                for row in rows.rev().take(limit) {
                    let (id, bytes) = row?;
                    let id = SessionId::from(id.value());
                    last = Some(id);
                    sessions.extend(reader.decode_session(id, bytes.value()));
                }
                return Ok((sessions, last));
            };
            let index = reader.snapshot.txn.open_table(USER_SESSIONS)?;
            let end = match end {
                Bound::Excluded(below) => Bound::Excluded((user, below)),
                _ => Bound::Included((user, u128::MAX)),
            };
            let rows = index.range((Bound::Included((user, 0)), end))?;
            for row in rows.rev().take(limit) {
                let id = SessionId::from(row?.0.value().1);
                last = Some(id);
                sessions.extend(reader.undamaged_session(id)?);
            }
            Ok((sessions, last))
        })
    }

    /// Returns the sessions with these ids, except damaged ones.
    pub async fn sessions_by_id(&self, ids: &[SessionId]) -> ReadResult<Vec<Session>> {
        self.read(|reader| {
            let mut sessions = Vec::with_capacity(ids.len());
            for id in ids {
                sessions.extend(reader.undamaged_session(*id)?);
            }
            Ok(sessions)
        })
    }

    /// Returns the ids of the active sessions below one, newest first; none if more than `limit`
    /// are active in all. The cost grows with the active sessions, not with the retained ones.
    pub async fn active_session_ids(
        &self,
        below: Option<SessionId>,
        now: Timestamp,
        limit: u64,
    ) -> ReadResult<Option<Vec<SessionId>>> {
        self.read(|reader| {
            let expired = reader.counters()?.expired;
            let Some(rows) = active_rows(&reader.deadlines()?, expired, now, limit)? else {
                return Ok(None);
            };
            let mut ids: Vec<_> = rows.into_iter().map(|row| row.session).collect();
            ids.retain(|id| below.is_none_or(|below| *id < below));
            ids.sort_unstable_by_key(|id| Reverse(*id));
            Ok(Some(ids))
        })
    }

    /// Counts the sessions by state. The cost grows with what fell due recently, not with
    /// what is stored.
    pub async fn stats(&self, now: Timestamp) -> ReadResult<Stats> {
        self.read(|reader| {
            let rows = reader.deadlines()?;
            let index = Index::new(&rows)?;
            let counters = reader.counters()?;
            let retained_since = now - self.rules().retention;
            let expired = moved(counters.expired, now, &index, Deadline::Expiry)?.rows;
            let warned = moved(counters.warned, now, &index, Deadline::Warning)?.rows;
            let ended = moved(counters.ended, retained_since, &index, Deadline::Expiry)?.rows;
            Ok(Stats {
                active: rows.len()?.saturating_sub(expired),
                expired: expired.saturating_sub(ended),
                near_expiration: warned.saturating_sub(expired),
            })
        })
    }

    /// Counts the rows of the largest tables.
    pub async fn row_counts(&self) -> ReadResult<RowCounts> {
        self.read(|reader| {
            Ok(RowCounts {
                sessions: reader.snapshot.sessions.len()?,
                messages: reader.snapshot.messages.len()?,
                open_turns: reader.snapshot.open_turns()?.len()?,
            })
        })
    }

    /// Whether a user's key stands for a session that was created with it. Fails on a damaged
    /// record.
    pub async fn knows_create_key(
        &self,
        user: UserId,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> ReadResult<bool> {
        self.read(|reader| {
            let keys = reader.snapshot.txn.open_table(CREATE_KEYS)?;
            let Some(bytes) = keys.get((user.into(), key.as_str()))? else {
                return Ok(false);
            };
            let location = || RecordLocation::CreateKey(user, key.clone());
            let claim = record::decode_claim(bytes.value());
            let claim = reader.quarantine.inspect(UNKNOWN_OWNER, location, claim)?;
            let session = reader.session(claim.session_id)?;
            let retention = self.rules().retention;
            Ok(session.is_some_and(|session| is_remembered(&claim, &session, now, retention)))
        })
    }
}
