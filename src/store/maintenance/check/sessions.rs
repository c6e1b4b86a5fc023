//! Checks of sessions, their indexes and their keys.

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::Check;
use crate::domain::id::SessionId;
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine::location::{KeyKind, RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::counters::Counters;
use crate::store::schema::deadline::{Deadline, Index, Row};
use crate::store::schema::record;

/// The number of rows of each index that belong to sessions. Each session has its own row, so an
/// index with exactly as many rows has none without a session. Looking up each row would take as
/// long as all other checks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Indexed {
    deadlines: u64,
    user_sessions: u64,
}

impl Check<'_> {
    /// Every session can be decoded and has its row in each index.
    pub(super) fn sessions(&mut self) -> ReadResult<Indexed> {
        let mut indexed = Indexed::default();
        for row in self.tables.sessions.iter()? {
            self.step();
            let (id, bytes) = row?;
            let id = SessionId::from(id.value());
            let session = match record::decode_session(id, bytes.value()) {
                Ok(session) => session,
                Err(error) => {
                    let text = format!("sessions: {id}: {error}");
                    self.undecodable(text, id, RecordLocation::Session);
                    continue;
                }
            };
            let deadlines = Row::for_session(&session).key();
            if self.tables.deadlines.get(deadlines)?.is_some() {
                indexed.deadlines += 1;
            } else {
                let at = session.expires_at;
                self.fault(format!("deadlines: session {id} has no row at {at}"));
            }
            let key = (session.user_id.into(), u128::from(id));
            if self.tables.user_sessions.get(key)?.is_some() {
                indexed.user_sessions += 1;
            } else {
                self.fault(format!("user_sessions: session {id} has no row"));
            }
        }
        Ok(indexed)
    }

    /// Every row of the index has its session.
    pub(super) fn deadlines(&mut self, indexed: Indexed) -> ReadResult<()> {
        let rows = self.tables.deadlines.len()?;
        if rows == indexed.deadlines {
            self.skip(rows);
            return Ok(());
        }
        for row in self.tables.deadlines.iter()? {
            self.step();
            let row = Row::from_key(row?.0.value());
            let (at, id) = (row.expires_at, row.session);
            let fits = |session: &Session| Row::for_session(session) == row;
            if !self.tables.has_session(id, fits)? {
                self.fault(format!("deadlines: the row ({at}, {id}) has no session"));
            }
        }
        Ok(())
    }

    pub(super) fn user_sessions(&mut self, indexed: Indexed) -> ReadResult<()> {
        let rows = self.tables.user_sessions.len()?;
        if rows == indexed.user_sessions {
            self.skip(rows);
            return Ok(());
        }
        for row in self.tables.user_sessions.iter()? {
            self.step();
            let (user, id) = row?.0.value();
            let id = SessionId::from(id);
            let fits = |session: &Session| u128::from(session.user_id) == user;
            if !self.tables.has_session(id, fits)? {
                self.fault(format!("user_sessions: the row of {id} has no session"));
            }
        }
        Ok(())
    }

    pub(super) fn counters(&mut self) -> ReadResult<()> {
        let counters = Counters::load(&self.tables.meta)?;
        let index = Index::new(&self.tables.deadlines)?;
        for (name, deadline, counter) in [
            ("expired", Deadline::Expiry, counters.expired),
            ("warned", Deadline::Warning, counters.warned),
            ("ended", Deadline::Expiry, counters.ended),
        ] {
            let rows = index.count(deadline, Timestamp::MIN, counter.point)?;
            if rows != counter.rows {
                let counted = counter.rows;
                self.fault(format!(
                    "counters: {name} says {counted} rows, the index has {rows}"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn deletions(&mut self) -> ReadResult<()> {
        for row in self.tables.deletions.iter()? {
            let id = row?.0.value();
            if self.tables.sessions.get(id)?.is_some() {
                let id = SessionId::from(id);
                self.fault(format!("deletions: {id} is a session"));
            }
        }
        Ok(())
    }

    pub(super) fn keys(&mut self, kind: KeyKind) -> ReadResult<()> {
        let (name, what, rows) = match kind {
            KeyKind::Send => ("message_keys", "message", &self.tables.message_keys),
            KeyKind::Submit => ("submit_keys", "reply", &self.tables.submit_keys),
        };
        for row in rows.iter()? {
            self.step();
            let (row, bytes) = row?;
            let (id, key) = row.value();
            let session = SessionId::from(id);
            if self.tables.sessions.get(id)?.is_none() {
                // The rows of deleted and of quarantined sessions may remain.
                let may_remain = self.tables.deletions.get(id)?.is_some()
                    || self
                        .tables
                        .is_quarantined(session, &RecordLocation::Session)?;
                if !may_remain {
                    self.fault(format!("{name}: {session} is not a session"));
                }
                continue;
            }
            match record::decode_key_time(bytes.value()) {
                Ok(at) => {
                    // An error has the time of a user's message.
                    let is_reply =
                        kind == KeyKind::Submit && !record::is_submitted_error(bytes.value());
                    let message = self.tables.message(session, at)?;
                    let fits = |read: Result<Message, _>| {
                        read.map_or(true, |it| it.is_agent() == is_reply)
                    };
                    if !message.is_some_and(fits) {
                        self.fault(format!("{name}: there is no {what} ({session}, {at})"));
                    }
                }
                Err(error) => {
                    let text = format!("{name}: {session}: {error}");
                    match IdempotencyKey::parse(key) {
                        Some(key) => {
                            self.undecodable(text, session, RecordLocation::Key(kind, key));
                        }
                        None => self.fault(text),
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn remote_sessions(&mut self) -> ReadResult<()> {
        for row in self.tables.remote_sessions.iter()? {
            self.step();
            let (session, bytes) = row?;
            let session = SessionId::from(session.value());
            if !self.tables.has_session(session, |_| true)? {
                self.fault(format!("upstreams: {session} is not a session"));
            }
            if let Err(error) = record::decode_remote_session(bytes.value()) {
                let text = format!("upstreams: {session}: {error}");
                self.undecodable(text, session, RecordLocation::RemoteSession);
            }
        }
        Ok(())
    }

    pub(super) fn create_keys(&mut self) -> ReadResult<()> {
        for row in self.tables.create_keys.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (user, name) = key.value();
            match record::decode_claim(bytes.value()) {
                Ok(claim) => {
                    let id = claim.session_id;
                    if !self.tables.has_session(id, |_| true)? {
                        self.fault(format!("create_keys: {id} is not a session"));
                    } else if !self.tables.has_session(id, |it| has_key(it, user, name))? {
                        self.fault(format!("create_keys: {id} was created with another key"));
                    }
                }
                Err(error) => {
                    let text = format!("create_keys: {error}");
                    let Some(key) = IdempotencyKey::parse(name) else {
                        self.fault(text);
                        continue;
                    };
                    let location = RecordLocation::CreateKey(user.into(), key);
                    self.undecodable(text, UNKNOWN_OWNER, location);
                }
            }
        }
        Ok(())
    }
}

/// Whether a session was created by a user with a key.
fn has_key(session: &Session, user: u128, key: &str) -> bool {
    let own = session.create_key.as_ref().map(IdempotencyKey::as_str);
    u128::from(session.user_id) == user && own == Some(key)
}
