//! One session after the other, also where their table cannot be walked through.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{ReadOnlyTable, ReadableTable as _};

use super::seek::{damaged, guarded, is_of_a_place, next_readable};
use super::{Cursor, Result, Slice, Stretch};
use crate::domain::archive::Item;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::store::damage::{NOBODY, Spot};
use crate::store::reader::Reader;
use crate::store::record::{self, RecordError};
use crate::store::tables::{DAMAGED, USER_SESSIONS};

/// How many sessions of a stretch are known at once.
const MAX_KNOWN: usize = 1000;

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
        let is_read = self.own_record(id, cursor.stretch.is_some())?;
        let aside = self.set_aside_of(id)?;
        if self.items.len() > before && id != NOBODY {
            cursor.within = Some(self.within(id, is_read, aside)?);
        }
        Ok(())
    }

    /// The next id that has a session, or records that are set aside.
    fn next_owner(&mut self, cursor: &mut Cursor) -> Result<Option<SessionId>> {
        loop {
            if let Some(stretch) = &mut cursor.stretch {
                if let Some(known) = stretch.known.pop_first() {
                    return Ok(Some(known));
                }
                let Some(last) = stretch.last else {
                    return Ok(None);
                };
                cursor.after = Some(last);
                cursor.stretch = None;
            }
            let after = cursor.after;
            let reader = self.reader;
            match guarded(|| reader.next_owner(after)) {
                Err(error) if is_of_a_place(&error) => {
                    let name = after.map_or_else(String::new, |after| format!(" after {after}"));
                    self.lost.push(format!("sessions{name}: {error}"));
                    cursor.stretch = Some(reader.stretch(after));
                }
                next => return next,
            }
        }
    }

    /// Gives a session's own record; returns whether it could be read. In a stretch it must be
    /// there.
    fn own_record(&mut self, id: SessionId, is_expected: bool) -> Result<bool> {
        let reader = self.reader;
        match guarded(|| reader.record_of(id)) {
            Ok(Some(Ok(session))) => self.session(session)?,
            Ok(Some(Err((error, bytes)))) => {
                reader.damage.note(id, Spot::Session, &error);
                self.damaged(id, Spot::Session.to_string(), error.to_string(), bytes);
            }
            Ok(None) if is_expected && !self.is_set_aside(id)? => {
                self.lost(id, &Spot::Session, "it is not there");
                return Ok(false);
            }
            Ok(None) => {}
            Err(error) if is_of_a_place(&error) => {
                self.lost(id, &Spot::Session, &error.to_string());
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    fn is_set_aside(&mut self, id: SessionId) -> Result<bool> {
        let reader = self.reader;
        let aside = guarded(|| reader.is_session_set_aside(id));
        let aside = self.unless_lost(id, "what is set aside", aside)?;
        Ok(aside.unwrap_or(false))
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
        let place = Spot::Session.to_string();
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

    /// What is known of the sessions after one from which on they cannot be walked through.
    fn stretch(&self, after: Option<SessionId>) -> Stretch {
        let first = after.map_or(Some(0), |id| u128::from(id).checked_add(1));
        let end = first.and_then(|first| {
            next_readable(first, u128::MAX, |place| {
                // As the walk would go on from there.
                let after = place.checked_sub(1).map(SessionId::from);
                self.next_owner(after).map(drop)
            })
        });
        let mut stretch = Stretch {
            known: BTreeSet::new(),
            last: end.map(|end| SessionId::from(end.saturating_sub(1))),
        };
        // What cannot be read of these is told of each session.
        for walk in [Self::walk_indexed, Self::walk_set_aside] {
            let _ = guarded(|| {
                walk(self, &mut |id| {
                    if Some(id) > after && stretch.last.is_none_or(|last| id <= last) {
                        stretch.know(id);
                    }
                })
            });
        }
        stretch
    }

    fn walk_indexed(&self, tell: &mut dyn FnMut(SessionId)) -> Result<()> {
        for row in self.snapshot.txn.open_table(USER_SESSIONS)?.iter()? {
            tell(SessionId::from(row?.0.value().1));
        }
        Ok(())
    }

    fn walk_set_aside(&self, tell: &mut dyn FnMut(SessionId)) -> Result<()> {
        let rows: ReadOnlyTable<(u128, &str), &[u8]> = self.snapshot.txn.open_table(DAMAGED)?;
        for row in rows.iter()? {
            tell(SessionId::from(row?.0.value().0));
        }
        Ok(())
    }
}

impl Stretch {
    /// Notes a session. Where there are too many, the stretch is cut off behind the first.
    fn know(&mut self, id: SessionId) {
        self.known.insert(id);
        if self.known.len() > MAX_KNOWN {
            self.known.pop_last();
            self.last = self.known.last().copied();
        }
    }
}
