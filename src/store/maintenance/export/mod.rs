//! Exports everything in slices, each read from a snapshot of its own, so that no snapshot is held
//! while the export proceeds.
//!
//! A session is exported as it is when its first slice is read. If its messages need further
//! slices, later changes are left out: newer messages, and replies to turns that were open.
//!
//! An unreadable page does not end the export. What is known to be there is exported as damaged,
//! without its bytes, and the export continues after it ([`seek`]), with the sessions that any
//! table knows of ([`owners`]). The [`ExportCursor`] lists each such place.

mod cursor;
mod messages;
mod owners;
mod parts;
mod seek;
mod sessions;
mod slice;
mod user;

pub use self::cursor::ExportCursor;
use self::slice::Slice;
use crate::domain::archive::Item;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::read::reader::Reader;

impl Reader<'_> {
    /// Returns the next items, of about `rows` rows.
    ///
    /// # Errors
    /// The database fails, other than at a single place.
    pub(crate) fn export(
        &self,
        cursor: &mut ExportCursor,
        rows: usize,
        now: Timestamp,
    ) -> ReadResult<Vec<Item>> {
        let mut slice = Slice::new(self, rows, now);
        while slice.items.len() + slice.skipped < rows && !cursor.is_done {
            match cursor.current.take() {
                Some(current) => cursor.current = slice.messages_of(current)?,
                None => slice.next_session(cursor)?,
            }
        }
        cursor.lost.append(&mut slice.lost);
        Ok(slice.items)
    }
}
