//! The slice of an export that is being read.

use super::seek::{guarded, is_local};
use crate::domain::archive::{Item, Quarantined};
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine::location::RecordLocation;
use crate::store::read::reader::Reader;
use crate::store::schema::record::RecordError;

pub(super) struct Slice<'a> {
    pub(super) reader: &'a Reader<'a>,
    /// The approximate number of rows of the slice.
    pub(super) rows: usize,
    pub(super) now: Timestamp,
    pub(super) items: Vec<Item>,
    pub(super) lost: Vec<String>,
    /// The number of quarantined records that were read and left out.
    pub(super) skipped: usize,
}

impl<'a> Slice<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, rows: usize, now: Timestamp) -> Self {
        Self {
            reader,
            rows,
            now,
            items: Vec::new(),
            lost: Vec::new(),
            skipped: 0,
        }
    }

    /// Adds a damaged record.
    pub(super) fn damaged(
        &mut self,
        owner: SessionId,
        location: String,
        reason: String,
        bytes: Vec<u8>,
    ) {
        self.items.push(Item::Quarantined(Quarantined {
            owner,
            location,
            reason,
            found_at: self.now,
            expires_at: None,
            bytes,
        }));
    }

    /// Adds a record that cannot be decoded, and notes that for the quarantine.
    pub(super) fn undecodable(
        &mut self,
        owner: SessionId,
        location: RecordLocation,
        error: &RecordError,
        bytes: Vec<u8>,
    ) {
        self.damaged(owner, location.to_string(), error.to_string(), bytes);
        self.reader.quarantine.note(owner, location, error);
    }

    /// Adds a record that is lost, with what is left of it, so that references to it find
    /// something.
    pub(super) fn lost(
        &mut self,
        owner: SessionId,
        location: &RecordLocation,
        reason: &str,
        bytes: Vec<u8>,
    ) {
        self.lost
            .push(format!("session {owner}, {location}: {reason}"));
        self.damaged(owner, location.to_string(), reason.to_owned(), bytes);
    }

    /// Reads something of a session; returns none, and notes the place, if it is unreadable.
    pub(super) fn try_read<T>(
        &mut self,
        owner: SessionId,
        what: &str,
        read: impl FnOnce(&Reader<'_>) -> ReadResult<T>,
    ) -> ReadResult<Option<T>> {
        match guarded(|| read(self.reader)) {
            Ok(read) => Ok(Some(read)),
            Err(error) if is_local(&error) => {
                self.lost.push(format!("session {owner}, {what}: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
