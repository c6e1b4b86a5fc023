//! One session after the other, also where their table cannot be walked through.

use std::ops::Bound;

use super::seek::{damaged, guarded, is_of_a_place};
use super::{Cursor, Result, Slice};
use crate::domain::archive::Item;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::quarantine::damage::{NOBODY, RecordLocation};
use crate::store::read::reader::Reader;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::DAMAGED;

/// A session's record, or why it cannot be decoded, and its bytes.
type Record = std::result::Result<Session, (RecordError, Vec<u8>)>;

impl Slice<'_> {
    /// Gives the next session's own items and goes into it.
    pub(super) fn next_session(&mut self, cursor: &mut Cursor) -> Result<()> {
        let next = match cursor.only {
            Some(only) => (cursor.after != Some(only)).then_some(only),
            None => self.next_owner(cursor)?,
        };
        let Some(id) = next else {
            cursor.is_done = true;
            return Ok(());
        };
        cursor.after = Some(id);
        let before = self.items.len();
        let is_read = self.own_record(id, cursor.is_salvage)?;
        let aside = self.set_aside_of(id)?;
        if self.items.len() > before && id != NOBODY {
            cursor.within = Some(self.within(id, is_read, aside)?);
        }
        Ok(())
    }

    /// The next id that has a session, or records that are set aside.
    fn next_owner(&mut self, cursor: &mut Cursor) -> Result<Option<SessionId>> {
        let (reader, after) = (self.reader, cursor.after);
        if !cursor.is_salvage {
            match guarded(|| reader.next_owner(after)) {
                Err(error) if is_of_a_place(&error) => {
                    let behind = after.map_or_else(String::new, |id| format!(" after {id}"));
                    self.lost.push(format!("sessions{behind}: {error}"));
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

    /// Gives a session's own record; returns whether it could be read. One that was found in other
    /// tables is missed where it has messages.
    fn own_record(&mut self, id: SessionId, is_expected: bool) -> Result<bool> {
        let reader = self.reader;
        match guarded(|| reader.record_of(id)) {
            Ok(Some(Ok(session))) => self.session(session)?,
            Ok(Some(Err((error, bytes)))) => {
                reader.damage.note(id, RecordLocation::Session, &error);
                self.damaged(
                    id,
                    RecordLocation::Session.to_string(),
                    error.to_string(),
                    bytes,
                );
            }
            Ok(None) if is_expected && self.is_missed(id)? => {
                self.lost(id, &RecordLocation::Session, "it is not there");
                return Ok(false);
            }
            Ok(None) => {}
            Err(error) if is_of_a_place(&error) => {
                self.lost(id, &RecordLocation::Session, &error.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Whether there are messages of a session that has no record, not even one that is set aside.
    fn is_missed(&mut self, id: SessionId) -> Result<bool> {
        let reader = self.reader;
        let missed = guarded(|| {
            let has_messages = reader.last_message(id)? > Timestamp::MIN;
            Ok(has_messages && !reader.is_session_set_aside(id)?)
        });
        let missed = self.unless_lost(id, "its messages", missed)?;
        Ok(missed.unwrap_or(true))
    }

    fn session(&mut self, session: Session) -> Result<()> {
        let (archived, damaged) = self.archived(session)?;
        self.items.push(Item::Session(archived));
        for (owner, spot, error, bytes) in damaged {
            self.reader.damage.note(owner, spot.clone(), &error);
            self.damaged(owner, spot.to_string(), error.to_string(), bytes);
        }
        Ok(())
    }
}

impl Reader<'_> {
    fn record_of(&self, id: SessionId) -> Result<Option<Record>> {
        let bytes = self.snapshot.sessions.get(u128::from(id))?;
        Ok(bytes.map(|bytes| {
            let session = record::decode_session(id, bytes.value());
            session.map_err(|error| (error, bytes.value().to_vec()))
        }))
    }

    /// Whether a session's own record is set aside.
    pub(super) fn is_session_set_aside(&self, id: SessionId) -> Result<bool> {
        let place = RecordLocation::Session.to_string();
        let damaged = self.snapshot.txn.open_table(DAMAGED)?;
        Ok(damaged.get((u128::from(id), place.as_str()))?.is_some())
    }

    /// The first id after one that has a session, or records that are set aside.
    fn next_owner(&self, after: Option<SessionId>) -> Result<Option<SessionId>> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(u128::from(id)));
        let sessions = &self.snapshot.sessions;
        let session = sessions.range((start, Bound::Unbounded))?.next();
        let session = session.transpose()?.map(|(id, _)| id.value());

        let damaged_rows = self.snapshot.txn.open_table(DAMAGED)?;
        let owner = match after {
            None => damaged_rows.range((0_u128, "")..)?.next(),
            Some(id) => match u128::from(id).checked_add(1) {
                None => None,
                Some(next) => damaged_rows.range((next, "")..)?.next(),
            },
        };
        let owner = owner.transpose()?.map(|(key, _)| key.value().0);
        let next = session.into_iter().chain(owner).min().map(SessionId::from);
        if next.is_some() && next <= after {
            // Its key is not what it was: to go by it would be to go round.
            return Err(damaged("the rows are not in their order"));
        }
        Ok(next)
    }
}
