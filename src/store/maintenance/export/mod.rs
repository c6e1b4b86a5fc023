//! Everything stored, in slices: each is read from a snapshot of its own, so that none is held
//! while the export goes its way.
//!
//! A session is exported as it is when its first slice is read. Where its messages need another
//! slice, what has happened in between is left out: messages that came later, and replies to
//! turns that were open.
//!
//! A page that cannot be read ends no export. What is known to stand there is given as damaged,
//! without its bytes, and the export goes on behind it ([`seek`]), with the sessions that any table
//! knows of ([`owners`]); the [`Cursor`] tells of each such place.

mod messages;
mod owners;
mod parts;
mod seek;
mod sessions;

use std::collections::BTreeSet;

use self::messages::Within;
use crate::domain::archive::{Item, Quarantined};
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::store::error::ReadError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::read::reader::Reader;

type Result<T> = std::result::Result<T, ReadError>;

/// How far an export is.
#[derive(Debug, Default)]
pub struct Cursor {
    only: Option<SessionId>,
    /// The last session whose items were all given.
    after: Option<SessionId>,
    /// Whether the sessions are looked for in every table.
    is_salvage: bool,
    /// Sessions that were found there.
    found: BTreeSet<SessionId>,
    within: Option<Within>,
    /// What could not be read, a line each.
    lost: Vec<String>,
    is_done: bool,
}

impl Cursor {
    /// From the beginning, of everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// The same of a damaged database: sessions are looked for in every table, since a flipped bit
    /// of a key hides what stands behind it.
    #[must_use]
    pub fn salvage() -> Self {
        Self {
            is_salvage: true,
            ..Self::default()
        }
    }

    /// Of one session.
    #[must_use]
    pub fn only(session: SessionId) -> Self {
        Self {
            only: Some(session),
            ..Self::default()
        }
    }

    /// Whether everything was given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// The places that could not be read since this was asked last, a line each.
    pub fn take_lost(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lost)
    }
}

/// A slice that is being filled.
struct Slice<'a> {
    reader: &'a Reader<'a>,
    /// About how many rows it is to have.
    rows: usize,
    now: Timestamp,
    items: Vec<Item>,
    lost: Vec<String>,
}

impl Reader<'_> {
    /// The next items, of about `rows` rows.
    ///
    /// # Errors
    /// The database fails, other than in a place of its own.
    pub(in crate::store) fn export(
        &self,
        cursor: &mut Cursor,
        rows: usize,
        now: Timestamp,
    ) -> Result<Vec<Item>> {
        let mut slice = Slice {
            reader: self,
            rows,
            now,
            items: Vec::new(),
            lost: Vec::new(),
        };
        while slice.items.len() < rows && !cursor.is_done {
            match cursor.within.take() {
                Some(within) => cursor.within = slice.messages_of(within)?,
                None => slice.next_session(cursor)?,
            }
        }
        cursor.lost.append(&mut slice.lost);
        Ok(slice.items)
    }
}

impl Slice<'_> {
    /// Gives a record that cannot be decoded.
    fn damaged(&mut self, owner: SessionId, place: String, reason: String, bytes: Vec<u8>) {
        self.items.push(Item::Quarantined(Quarantined {
            owner,
            place,
            reason,
            found_at: self.now,
            expires_at: None,
            bytes,
        }));
    }

    /// Gives a record of which nothing can be read, so that what refers to it finds something.
    fn lost(&mut self, owner: SessionId, spot: &RecordLocation, reason: &str) {
        self.lost.push(format!("session {owner}, {spot}: {reason}"));
        self.damaged(owner, spot.to_string(), reason.to_owned(), Vec::new());
    }

    /// What was read of a session; none where its place cannot be read.
    fn unless_lost<T>(
        &mut self,
        owner: SessionId,
        what: &str,
        read: Result<T>,
    ) -> Result<Option<T>> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if seek::is_of_a_place(&error) => {
                self.lost.push(format!("session {owner}, {what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
