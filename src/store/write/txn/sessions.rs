//! Sessions, and their rows in the indexes.

use std::collections::{HashMap, HashSet};

use redb::ReadableTable as _;

use super::{Txn, internal};
use crate::domain::error::RuleViolation;
use crate::domain::id::SessionId;
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::deadline::{Deadline, DueSession, Index, Row};
use crate::store::schema::record;
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    /// Returns the session if it is active or still retained.
    pub(crate) fn retained_session(&self, id: SessionId) -> CommandResult<Session> {
        match self.session(id)? {
            Some(session)
                if session.life_stage(self.now, self.rules.retention) != LifeStage::Gone =>
            {
                Ok(session)
            }
            _ => Err(RuleViolation::SessionNotFound(id).into()),
        }
    }

    /// Returns the session if it is active.
    pub(crate) fn active_session(&self, id: SessionId) -> CommandResult<Session> {
        let session = self.retained_session(id)?;
        session.require_active(self.now, self.rules.retention)?;
        Ok(session)
    }

    pub(crate) fn session(&self, id: SessionId) -> CommandResult<Option<Session>> {
        let Some(bytes) = self.sessions.get(u128::from(id))? else {
            self.require_not_quarantined(id, &RecordLocation::Session)?;
            return Ok(None);
        };
        let session = record::decode_session(id, bytes.value());
        Ok(Some(self.quarantine.inspect(
            id,
            || RecordLocation::Session,
            session,
        )?))
    }

    /// Whether anything is stored under a session's id: the session, its quarantined records, or
    /// messages that a deletion has left for later.
    pub(crate) fn is_session_id_used(&self, id: SessionId) -> CommandResult<bool> {
        let rows = names_of(id.into());
        let id = u128::from(id);
        let mut quarantined = self.damaged.open()?.range::<(u128, &str)>(rows)?;
        Ok(self.sessions.get(id)?.is_some()
            || self.deletions.open()?.get(id)?.is_some()
            || quarantined.next().is_some())
    }

    pub(crate) fn insert_session(&mut self, session: &Session) -> CommandResult<()> {
        let id = u128::from(session.id);
        self.put_session(session)?;
        self.add_deadlines(session)?;
        self.user_sessions
            .open_mut()?
            .insert((session.user_id.into(), id), ())?;
        Ok(())
    }

    /// Replaces a session by its new state.
    pub(crate) fn update_session(
        &mut self,
        before: &Session,
        after: &Session,
    ) -> CommandResult<()> {
        self.put_session(after)?;
        if Row::for_session(before) != Row::for_session(after) {
            self.remove_deadlines(Row::for_session(before))?;
            self.add_deadlines(after)?;
        }
        Ok(())
    }

    /// Removes a session's rows, but not its messages and their keys. Returns the id of its remote
    /// session.
    pub(crate) fn remove_session(&mut self, session: &Session) -> CommandResult<Option<String>> {
        let id = u128::from(session.id);
        self.effects.dirty = true;
        self.sessions.remove(id)?;
        let remote = self.remove_remote_session(id)?;
        self.remove_deadlines(Row::for_session(session))?;
        self.user_sessions
            .open_mut()?
            .remove((session.user_id.into(), id))?;
        if let Some(key) = &session.create_key {
            // The key may belong to a later session by now. A damaged claim is useless.
            let is_ours = match self.create_claim(session.user_id, key) {
                Ok(claim) => claim.is_some_and(|claim| claim.session_id == session.id),
                Err(CommandError::Record(_)) => true,
                Err(error) => return Err(error),
            };
            if is_ours {
                self.create_keys
                    .open_mut()?
                    .remove((session.user_id.into(), key.as_str()))?;
            }
        }
        Ok(remote)
    }

    /// Removes and returns the id of a remote session; none if it is damaged.
    fn remove_remote_session(&mut self, id: u128) -> CommandResult<Option<String>> {
        let removed = self.remote_sessions.open_mut()?.remove(id)?;
        Ok(removed.and_then(|bytes| record::decode_remote_session(bytes.value()).ok()))
    }

    /// Returns the first sessions, by expiry, that expire at or before a time.
    pub(crate) fn expired_until(
        &self,
        until: Timestamp,
        after: Option<DueSession>,
        limit: usize,
    ) -> CommandResult<Vec<DueSession>> {
        let index = Index::new(&self.deadlines)?;
        Ok(index.due(Deadline::Expiry, after, until, limit)?)
    }

    fn put_session(&mut self, session: &Session) -> CommandResult<()> {
        let bytes = internal(record::encode_session(session))?;
        self.put_record(session.id, &RecordLocation::Session, &bytes)
    }

    fn add_deadlines(&mut self, session: &Session) -> CommandResult<()> {
        let row = Row::for_session(session);
        self.deadlines.insert(row.key(), ())?;
        self.counters.row_added(row);
        // A past warning is not a deadline: it was published, or is not wanted.
        let next = if session.warn_at > self.now {
            session.warn_at
        } else {
            session.expires_at
        };
        self.effects.earliest_deadline = self.effects.earliest_deadline.min(next);
        Ok(())
    }

    /// Removes the index rows of sessions whose records are lost, and returns when they expire.
    /// Finding these rows takes a scan of the whole indexes.
    pub(crate) fn remove_index_rows(
        &mut self,
        ids: &HashSet<SessionId>,
    ) -> CommandResult<HashMap<SessionId, Timestamp>> {
        let mut deadlines = Vec::new();
        for row in self.deadlines.iter()? {
            let row = Row::from_key(row?.0.value());
            if ids.contains(&row.session) {
                deadlines.push(row);
            }
        }
        let mut expiries = HashMap::new();
        for row in deadlines {
            self.remove_deadlines(row)?;
            expiries.insert(row.session, row.expires_at);
        }
        let mut rows = Vec::new();
        for row in self.user_sessions.open()?.iter()? {
            let (user, id) = row?.0.value();
            if ids.contains(&SessionId::from(id)) {
                rows.push((user, id));
            }
        }
        for row in rows {
            self.user_sessions.open_mut()?.remove(row)?;
        }
        for id in ids {
            self.remote_sessions.open_mut()?.remove(u128::from(*id))?;
        }
        self.remove_claims_of(ids)?;
        self.effects.dirty = true;
        Ok(expiries)
    }

    fn remove_claims_of(&mut self, ids: &HashSet<SessionId>) -> CommandResult<()> {
        let mut keys = Vec::new();
        for row in self.create_keys.open()?.iter()? {
            let (key, bytes) = row?;
            let claim = record::decode_claim(bytes.value());
            if claim.is_ok_and(|claim| ids.contains(&claim.session_id)) {
                let (user, key) = key.value();
                keys.push((user, key.to_owned()));
            }
        }
        for (user, key) in keys {
            self.create_keys.open_mut()?.remove((user, key.as_str()))?;
        }
        Ok(())
    }

    fn remove_deadlines(&mut self, row: Row) -> CommandResult<()> {
        if self.deadlines.remove(row.key())?.is_some() {
            self.counters.row_removed(row);
        }
        Ok(())
    }
}
