//! Visits one session after another, even if their table cannot be walked.

use std::ops::Bound;

use super::cursor::ExportCursor;
use super::seek::{damaged, guarded, is_local};
use super::slice::Slice;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine::location::{RecordLocation, UNKNOWN_OWNER};
use crate::store::read::reader::Reader;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::DAMAGED;

/// A session's record, or why it cannot be decoded, and its bytes.
type Record = Result<Session, (RecordError, Vec<u8>)>;

impl Slice<'_> {
    /// Adds the next session's own items and begins its messages.
    pub(super) fn next_session(&mut self, cursor: &mut ExportCursor) -> ReadResult<()> {
        let next = match (cursor.only, cursor.user) {
            (Some(only), _) => (cursor.after != Some(only)).then_some(only),
            (None, Some(user)) => return self.next_session_of(user, cursor),
            (None, None) => self.next_owner(cursor)?,
        };
        let Some(id) = next else {
            cursor.is_done = true;
            return Ok(());
        };
        self.begin_session(id, cursor)
    }

    /// Adds a session's own items and begins its messages.
    pub(super) fn begin_session(
        &mut self,
        id: SessionId,
        cursor: &mut ExportCursor,
    ) -> ReadResult<()> {
        cursor.after = Some(id);
        let before = self.items.len();
        let is_read = self.own_record(id, cursor.is_salvage)?;
        let quarantined = self.quarantined_of(id)?;
        if self.items.len() > before && id != UNKNOWN_OWNER {
            cursor.current = Some(self.begin_messages(id, is_read, quarantined)?);
        }
        Ok(())
    }

    /// Returns the next id that has a session or quarantined records.
    fn next_owner(&mut self, cursor: &mut ExportCursor) -> ReadResult<Option<SessionId>> {
        let (reader, after) = (self.reader, cursor.after);
        if !cursor.is_salvage {
            match guarded(|| reader.next_owner(after)) {
                Err(error) if is_local(&error) => {
                    let position = after.map_or_else(String::new, |id| format!(" after {id}"));
                    self.lost.push(format!("sessions{position}: {error}"));
                    cursor.is_salvage = true;
                }
                next => return next,
            }
        }
        if cursor.found.is_empty() {
            cursor.found = reader.owners_after(after, &mut self.lost);
        }
        Ok(cursor.found.pop_first())
    }

    /// Adds a session's own record; returns whether it could be read. If the session was found in
    /// other tables and has messages, a missing record counts as lost.
    fn own_record(&mut self, id: SessionId, is_expected: bool) -> ReadResult<bool> {
        let reader = self.reader;
        match guarded(|| reader.session_record(id)) {
            Ok(Some(Ok(session))) => self.session(session)?,
            Ok(Some(Err((error, bytes)))) => {
                self.undecodable(id, RecordLocation::Session, &error, bytes);
            }
            Ok(None) if is_expected && self.is_missing(id)? => {
                self.lost(id, &RecordLocation::Session, "it is missing", Vec::new());
                return Ok(false);
            }
            Ok(None) => {}
            Err(error) if is_local(&error) => {
                let reason = error.to_string();
                self.lost(id, &RecordLocation::Session, &reason, Vec::new());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Whether there are messages of a session that has no record, not even a quarantined one.
    fn is_missing(&mut self, id: SessionId) -> ReadResult<bool> {
        let missing = self.try_read(id, "its messages", |reader| {
            let has_messages = reader.last_message(id)? > Timestamp::MIN;
            Ok(has_messages && !reader.is_session_quarantined(id)?)
        })?;
        Ok(missing.unwrap_or(true))
    }
}

impl Reader<'_> {
    fn session_record(&self, id: SessionId) -> ReadResult<Option<Record>> {
        let bytes = self.snapshot.sessions.get(u128::from(id))?;
        Ok(bytes.map(|bytes| {
            let session = record::decode_session(id, bytes.value());
            session.map_err(|error| (error, bytes.value().to_vec()))
        }))
    }

    /// Returns the first id after one that has a session or quarantined records.
    fn next_owner(&self, after: Option<SessionId>) -> ReadResult<Option<SessionId>> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(u128::from(id)));
        let sessions = &self.snapshot.sessions;
        let session = sessions.range((start, Bound::Unbounded))?.next();
        let session = session.transpose()?.map(|(id, _)| id.value());

        let from = after.map_or(Some(0), |id| u128::from(id).checked_add(1));
        let owner = match from {
            Some(from) => self.first_quarantined(from)?,
            None => None,
        };
        let next = session.into_iter().chain(owner).min().map(SessionId::from);
        if next.is_some() && next <= after {
            // Its key is damaged: following it would lead around in circles.
            return Err(damaged("the rows are not in their order"));
        }
        Ok(next)
    }

    /// Returns the owner of the first quarantined record from an id on.
    pub(super) fn first_quarantined(&self, from: u128) -> ReadResult<Option<u128>> {
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        let row = rows.range((from, "")..)?.next();
        Ok(row.transpose()?.map(|(key, _)| key.value().0))
    }
}
