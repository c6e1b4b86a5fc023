//! A snapshot to read from. It lives for one closure and never crosses an await.

use std::ops::Bound;

use redb::{ReadOnlyTable, ReadableTable, ReadableTableMetadata, UntypedTableHandle};

use super::snapshot::Snapshot;
use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::rules::Rules;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::turn::OpenTurn;
use crate::store::command::is_remembered;
use crate::store::condition::{LastBackup, Verified};
use crate::store::error::ReadError;
use crate::store::quarantine::damage::{KeyKind, NOBODY, Quarantine, RecordLocation};
use crate::store::schema::counters::{Counters, active_rows, moved};
use crate::store::schema::deadline::{self, Deadline, Index, Place};
use crate::store::schema::record::{self, Counter, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, MESSAGE_KEYS, META, UPSTREAMS, USER_SESSIONS, meta,
};

type Result<T> = std::result::Result<T, ReadError>;

/// A consistent view of everything stored.
pub(in crate::store) struct Reader<'a> {
    pub(in crate::store) snapshot: &'a Snapshot,
    pub(in crate::store) damage: &'a Quarantine,
}

/// The numbers of sessions, for health and totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Sessions that can be used.
    pub active: u64,
    /// Sessions that have expired and are still kept.
    pub expired: u64,
    /// Active sessions within their warning threshold.
    pub near_expiration: u64,
}

/// How many rows the largest tables have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// Sessions, whatever their standing.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Open turns.
    pub open_turns: u64,
}

impl Reader<'_> {
    /// The session of an id, active or not.
    pub(in crate::store) fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let Some(bytes) = self.snapshot.sessions.get(u128::from(id))? else {
            self.refuse_set_aside(id)?;
            return Ok(None);
        };
        let session = record::decode_session(id, bytes.value());
        Ok(Some(session.inspect_err(|error| {
            self.damage.note(id, RecordLocation::Session, error);
        })?))
    }

    /// Sessions in descending order of their ids, from below `below` on; damaged ones are left
    /// out. The second value is where to go on, none at the end.
    pub(in crate::store) fn sessions_below(
        &self,
        below: Option<SessionId>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionId>)> {
        let table = &self.snapshot.sessions;
        let end = below.map_or(Bound::Unbounded, |below| Bound::Excluded(u128::from(below)));
        let mut sessions = Vec::with_capacity(limit);
        let mut last = None;
        for row in table
            .range::<u128>((Bound::Unbounded, end))?
            .rev()
            .take(limit)
        {
            let (id, bytes) = row?;
            let id = SessionId::from(id.value());
            last = Some(id);
            match record::decode_session(id, bytes.value()) {
                Ok(session) => sessions.push(session),
                Err(error) => self.damage.note(id, RecordLocation::Session, &error),
            }
        }
        Ok((sessions, last))
    }

    /// The same as [`Self::sessions_below`], of one user.
    pub(in crate::store) fn user_sessions_below(
        &self,
        user: UserId,
        below: Option<SessionId>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionId>)> {
        let index = self.snapshot.txn.open_table(USER_SESSIONS)?;
        let user = u128::from(user);
        let end = match below {
            None => Bound::Included((user, u128::MAX)),
            Some(below) => Bound::Excluded((user, u128::from(below))),
        };
        let mut sessions = Vec::with_capacity(limit);
        let mut last = None;
        let rows = (Bound::Included((user, 0)), end);
        for row in index.range::<(u128, u128)>(rows)?.rev().take(limit) {
            let id = SessionId::from(row?.0.value().1);
            last = Some(id);
            sessions.extend(self.undamaged_session(id)?);
        }
        Ok((sessions, last))
    }

    /// The message of a session that was stored at a time.
    pub(in crate::store) fn message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<Message>> {
        let Some(bytes) = self.snapshot.messages.get((session.into(), at.0))? else {
            return Ok(None);
        };
        let message = record::decode_message(session, at, bytes.value());
        Ok(Some(message.inspect_err(|error| {
            self.damage
                .note(session, RecordLocation::Message(at), error);
        })?))
    }

    /// The message of the session that was sent under a key.
    pub(in crate::store) fn message_of_key(
        &self,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> Result<Option<Message>> {
        let keys = self.snapshot.txn.open_table(MESSAGE_KEYS)?;
        let Some(bytes) = keys.get((session.into(), key.as_str()))? else {
            return Ok(None);
        };
        let at = record::decode_time(bytes.value());
        let at = at.inspect_err(|error| {
            let spot = RecordLocation::Key(KeyKind::Send, key.clone());
            self.damage.note(session, spot, error);
        })?;
        self.message(session, at)
    }

    /// Whether a user's key stands for a session that it made.
    pub(in crate::store) fn knows_create_key(
        &self,
        user: UserId,
        key: &IdempotencyKey,
        now: Timestamp,
        kept: Millis,
    ) -> Result<bool> {
        let keys = self.snapshot.txn.open_table(CREATE_KEYS)?;
        let Some(bytes) = keys.get((user.into(), key.as_str()))? else {
            return Ok(false);
        };
        let claim = record::decode_claim(bytes.value());
        let claim = claim.inspect_err(|error| {
            let spot = RecordLocation::CreateKey(user, key.clone());
            self.damage.note(NOBODY, spot, error);
        })?;
        let session = self.session(claim.session_id)?;
        Ok(session.is_some_and(|session| is_remembered(&claim, &session, now, kept)))
    }

    /// The open turn of a session that is to run next; damaged ones are left out.
    pub(in crate::store) fn next_turn(&self, session: SessionId) -> Result<Option<OpenTurn>> {
        let turns = self.snapshot.open_turns()?;
        let id = u128::from(session);
        for row in turns.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            match record::decode_turn(session, position, bytes.value()) {
                Ok(turn) => return Ok(Some(turn)),
                Err(error) => self
                    .damage
                    .note(session, RecordLocation::Turn(position), &error),
            }
        }
        Ok(None)
    }

    /// The open turns of a session, in the order of running; damaged ones are left out.
    pub(in crate::store) fn open_turns(&self, session: SessionId) -> Result<Vec<OpenTurn>> {
        let table = self.snapshot.open_turns()?;
        let id = u128::from(session);
        let mut turns = Vec::new();
        for row in table.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            match record::decode_turn(session, position, bytes.value()) {
                Ok(turn) => turns.push(turn),
                Err(error) => self
                    .damage
                    .note(session, RecordLocation::Turn(position), &error),
            }
        }
        Ok(turns)
    }

    /// The name that the server behind a session's agent has for it. A damaged one is none, and
    /// is made anew.
    pub(in crate::store) fn upstream(&self, session: SessionId) -> Result<Option<String>> {
        let table = self.snapshot.txn.open_table(UPSTREAMS)?;
        let Some(bytes) = table.get(u128::from(session))? else {
            return Ok(None);
        };
        let name = record::decode_upstream(bytes.value());
        Ok(name
            .inspect_err(|error| self.damage.note(session, RecordLocation::Upstream, error))
            .ok())
    }

    /// The sessions that have open turns.
    pub(in crate::store) fn sessions_with_turns(&self) -> Result<Vec<SessionId>> {
        let turns = self.snapshot.open_turns()?;
        let mut sessions: Vec<SessionId> = Vec::new();
        for row in turns.iter()? {
            let session = SessionId::from(row?.0.value().0);
            if sessions.last() != Some(&session) {
                sessions.push(session);
            }
        }
        Ok(sessions)
    }

    /// The first deadlines after a place, up to a time and including it, in their order.
    pub(in crate::store) fn due(
        &self,
        deadline: Deadline,
        after: Option<Place>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>> {
        Index::of(&self.deadlines()?)?.due(deadline, after, until, limit)
    }

    /// The first deadline after a time.
    pub(in crate::store) fn next_due(
        &self,
        deadline: Deadline,
        after: Timestamp,
    ) -> Result<Option<Timestamp>> {
        Index::of(&self.deadlines()?)?.next(deadline, after)
    }

    /// The ids of the active sessions below one, newest first; none where more than `limit` are
    /// active in all. Costs what is active, not what is kept.
    pub(in crate::store) fn active_below(
        &self,
        below: Option<SessionId>,
        now: Timestamp,
        limit: u64,
    ) -> Result<Option<Vec<SessionId>>> {
        let deadlines = self.deadlines()?;
        let tallies = Counters::load(&self.snapshot.txn.open_table(META)?)?;
        let Some(rows) = active_rows(&deadlines, tallies.expired, now, limit)? else {
            return Ok(None);
        };
        let mut ids: Vec<_> = rows.into_iter().map(|row| row.session).collect();
        ids.retain(|id| below.is_none_or(|below| *id < below));
        ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
        Ok(Some(ids))
    }

    /// How many sessions there are of each standing. Costs what fell due of late, never what is
    /// stored.
    pub(in crate::store) fn stats(&self, now: Timestamp, rules: &Rules) -> Result<Stats> {
        let rows = self.deadlines()?;
        let index = Index::of(&rows)?;
        let tallies = Counters::load(&self.snapshot.txn.open_table(META)?)?;
        let kept_since = now - rules.kept;
        let expired = moved(tallies.expired, now, &index, Deadline::Expiry)?.rows;
        let warned = moved(tallies.warned, now, &index, Deadline::Warning)?.rows;
        let ended = moved(tallies.ended, kept_since, &index, Deadline::Expiry)?.rows;
        Ok(Stats {
            active: rows.len()?.saturating_sub(expired),
            expired: expired.saturating_sub(ended),
            near_expiration: warned.saturating_sub(expired),
        })
    }

    pub(in crate::store) fn row_counts(&self) -> Result<RowCounts> {
        Ok(RowCounts {
            sessions: self.snapshot.sessions.len()?,
            messages: self.snapshot.messages.len()?,
            open_turns: self.snapshot.open_turns()?.len()?,
        })
    }

    /// The last complete verification of the file; none where there was none, or where that
    /// cannot be decoded.
    pub(in crate::store) fn verification(&self) -> Result<Option<Verified>> {
        Ok(self.meta_tally(meta::VERIFIED)?.map(Verified::from))
    }

    /// The last backup that was made; none where there was none, or where that cannot be decoded.
    pub(in crate::store) fn last_backup(&self) -> Result<Option<LastBackup>> {
        Ok(self.meta_tally(meta::LAST_BACKUP)?.map(LastBackup::from))
    }

    fn meta_tally(&self, name: &str) -> Result<Option<Counter>> {
        let table = self.snapshot.txn.open_table(META)?;
        let bytes = table.get(name)?;
        Ok(bytes.and_then(|bytes| record::decode_tally(bytes.value()).ok()))
    }

    /// The names of the tables.
    pub(in crate::store) fn tables(&self) -> Result<Vec<UntypedTableHandle>> {
        Ok(self.snapshot.txn.list_tables()?.collect())
    }

    /// How many bytes the pages of a table take. It walks through all of them.
    pub(in crate::store) fn table_bytes(&self, table: UntypedTableHandle) -> Result<u64> {
        let stats = self.snapshot.txn.open_untyped_table(table)?.stats()?;
        Ok(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
    }

    /// Fails where the session's own record is missing because it is set aside.
    fn refuse_set_aside(&self, id: SessionId) -> Result<()> {
        let damaged = self.snapshot.txn.open_table(DAMAGED)?;
        let place = RecordLocation::Session.to_string();
        match damaged.get((u128::from(id), place.as_str()))? {
            None => Ok(()),
            Some(_) => Err(RecordError::Quarantined.into()),
        }
    }

    fn deadlines(&self) -> Result<ReadOnlyTable<deadline::Key, ()>> {
        Ok(self.snapshot.txn.open_table(DEADLINES)?)
    }

    pub(in crate::store) fn undamaged_session(&self, id: SessionId) -> Result<Option<Session>> {
        undamaged(self.session(id))
    }

    pub(in crate::store) fn undamaged_message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<Message>> {
        undamaged(self.message(session, at))
    }
}

/// A record that was read; none where it is damaged.
fn undamaged<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(ReadError::Record(_)) => Ok(None),
        other => other,
    }
}
