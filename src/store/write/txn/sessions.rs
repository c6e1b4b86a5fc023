//! Sessions, and their rows in the indexes.

use std::collections::{HashMap, HashSet};

use redb::ReadableTable as _;

use super::{Result, Txn, whole};
use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::domain::session::{Session, Standing};
use crate::domain::time::Timestamp;
use crate::store::error::CommandError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::deadline::{Deadline, Index, Place, Row};
use crate::store::schema::record;

impl Txn<'_> {
    /// The session, if there is one that is active or still kept.
    pub(in crate::store) fn kept_session(&self, id: SessionId) -> Result<Session> {
        match self.session(id)? {
            Some(session) if session.standing(self.now, self.rules.kept) != Standing::Gone => {
                Ok(session)
            }
            _ => Err(Refusal::SessionNotFound(id).into()),
        }
    }

    /// The session, if it is active.
    pub(in crate::store) fn active_session(&self, id: SessionId) -> Result<Session> {
        let session = self.kept_session(id)?;
        session.require_active(self.now, self.rules.kept)?;
        Ok(session)
    }

    pub(in crate::store) fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let Some(bytes) = self.sessions.get(u128::from(id))? else {
            self.refuse_set_aside(id, &RecordLocation::Session)?;
            return Ok(None);
        };
        let session = record::decode_session(id, bytes.value());
        Ok(Some(self.noted(id, || RecordLocation::Session, session)?))
    }

    pub(in crate::store) fn insert_session(&mut self, session: &Session) -> Result<()> {
        let id = u128::from(session.id);
        self.put_session(session)?;
        self.add_deadlines(session)?;
        self.user_sessions
            .open_mut()?
            .insert((session.user_id.into(), id), ())?;
        self.created += 1;
        Ok(())
    }

    /// Replaces a session by what became of it.
    pub(in crate::store) fn update_session(
        &mut self,
        before: &Session,
        after: &Session,
    ) -> Result<()> {
        self.put_session(after)?;
        if Row::of(before) != Row::of(after) {
            self.remove_deadlines(Row::of(before))?;
            self.add_deadlines(after)?;
        }
        Ok(())
    }

    /// Removes a session's rows, all but its messages and their keys. Returns the name that the
    /// server behind its agent has for it.
    pub(in crate::store) fn remove_session(&mut self, session: &Session) -> Result<Option<String>> {
        let id = u128::from(session.id);
        self.dirty = true;
        self.sessions.remove(id)?;
        let remote = self.remove_upstream(id)?;
        self.remove_deadlines(Row::of(session))?;
        self.user_sessions
            .open_mut()?
            .remove((session.user_id.into(), id))?;
        if let Some(key) = &session.create_key {
            // The key may name a later session by now. A damaged claim is of no use to anyone.
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

    /// Removes the name of a remote session. A damaged one is none.
    fn remove_upstream(&mut self, id: u128) -> Result<Option<String>> {
        let removed = self.upstreams.open_mut()?.remove(id)?;
        Ok(removed.and_then(|bytes| record::decode_upstream(bytes.value()).ok()))
    }

    /// The first sessions, by expiry, that expire at or before a time.
    pub(in crate::store) fn expired_until(
        &self,
        until: Timestamp,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Place>> {
        let index = Index::of(&self.deadlines)?;
        Ok(index.due(Deadline::Expiry, after, until, limit)?)
    }

    fn put_session(&mut self, session: &Session) -> Result<()> {
        let bytes = whole(record::encode_session(session))?;
        self.writes(&bytes);
        self.sessions
            .insert(u128::from(session.id), bytes.as_slice())?;
        Ok(())
    }

    fn add_deadlines(&mut self, session: &Session) -> Result<()> {
        let row = Row::of(session);
        self.deadlines.insert(row.key(), ())?;
        self.tallies.row_added(row);
        // A warning that is due at once is not a deadline: it was told or is not to be.
        let next = if session.warn_at > self.now {
            session.warn_at
        } else {
            session.expires_at
        };
        self.earliest_deadline = self.earliest_deadline.min(next);
        Ok(())
    }

    /// Takes out the rows that the indexes have of sessions whose records are lost; returns when
    /// they expire. Which rows those are can only be found by looking at all.
    pub(in crate::store) fn remove_index_rows(
        &mut self,
        ids: &HashSet<SessionId>,
    ) -> Result<HashMap<SessionId, Timestamp>> {
        let mut expiries = HashMap::new();
        for row in self.deadlines_of(ids)? {
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
            self.upstreams.open_mut()?.remove(u128::from(*id))?;
        }
        self.remove_claims_of(ids)?;
        self.dirty = true;
        Ok(expiries)
    }

    fn remove_claims_of(&mut self, ids: &HashSet<SessionId>) -> Result<()> {
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

    fn remove_deadlines(&mut self, row: Row) -> Result<()> {
        if self.deadlines.remove(row.key())?.is_some() {
            self.tallies.row_removed(row);
        }
        Ok(())
    }

    /// The index rows of some sessions.
    fn deadlines_of(&self, ids: &HashSet<SessionId>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for row in self.deadlines.iter()? {
            let row = Row::from_key(row?.0.value());
            if ids.contains(&row.session) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
