//! The number of index rows before a point in time, without counting them each time.
//!
//! redb knows how many rows a table has, but not how many lie before a key. So each counter holds a
//! point in time and the number of rows at or before it. It is adjusted whenever a row before the
//! point is added or removed, and advancing the point counts only the rows in between. Counters are
//! written in the same transactions as the index rows, so every snapshot has matching ones.

use redb::{ReadableTable, Table};

use super::deadline::{Deadline, Index, Key, Row};
use super::record::{self, Counter};
use super::tables::meta;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandResult, ReadResult};

/// The counters of one snapshot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    /// Expiries up to about now: expired sessions.
    pub(crate) expired: Counter,
    /// Warnings up to about now: sessions near or past their expiry.
    pub(crate) warned: Counter,
    /// Expiries up to about the end of the retention: sessions to purge.
    pub(crate) ended: Counter,
    changed: bool,
}

const START: Counter = Counter {
    point: Timestamp::MIN,
    rows: 0,
};

impl Counters {
    pub(crate) fn load(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> ReadResult<Self> {
        let mut counters = Self {
            expired: START,
            warned: START,
            ended: START,
            changed: false,
        };
        for (name, _, counter) in counters.each() {
            if let Some(bytes) = meta.get(name)? {
                // A damaged counter starts over.
                *counter = record::decode_counter(bytes.value()).unwrap_or(START);
            }
        }
        Ok(counters)
    }

    pub(crate) fn save(
        &mut self,
        meta: &mut Table<'_, &'static str, &'static [u8]>,
    ) -> CommandResult<()> {
        if !self.changed {
            return Ok(());
        }
        for (name, _, counter) in self.each() {
            meta.insert(name, record::encode_counter(*counter)?.as_slice())?;
        }
        Ok(())
    }

    pub(crate) fn row_added(&mut self, row: Row) {
        self.shift(row, |rows| rows + 1);
    }

    pub(crate) fn row_removed(&mut self, row: Row) {
        self.shift(row, |rows| rows.saturating_sub(1));
    }

    /// Advances the points in time; returns whether anything changed.
    pub(crate) fn advance(
        &mut self,
        rows: &Table<'_, Key, ()>,
        now: Timestamp,
        ended: Timestamp,
    ) -> ReadResult<bool> {
        let index = Index::new(rows)?;
        let mut changed = false;
        for ((_, deadline, counter), to) in self.each().into_iter().zip([now, now, ended]) {
            let before = *counter;
            *counter = moved(before, to, &index, deadline)?;
            changed |= *counter != before;
        }
        self.changed |= changed;
        Ok(changed)
    }

    fn shift(&mut self, row: Row, change: impl Fn(u64) -> u64) {
        let mut changed = false;
        for (_, deadline, counter) in self.each() {
            if row.time_of(deadline) <= counter.point {
                counter.rows = change(counter.rows);
                changed = true;
            }
        }
        self.changed |= changed;
    }

    /// Returns each counter with its name and the deadlines that it counts.
    fn each(&mut self) -> [(&'static str, Deadline, &mut Counter); 3] {
        [
            (meta::EXPIRED, Deadline::Expiry, &mut self.expired),
            (meta::WARNED, Deadline::Warning, &mut self.warned),
            (meta::ENDED, Deadline::Expiry, &mut self.ended),
        ]
    }
}

/// Returns the rows of the active sessions in no particular order; none if they exceed `limit`.
pub(crate) fn active_rows<T: ReadableTable<Key, ()>>(
    rows: &T,
    expired: Counter,
    now: Timestamp,
    limit: u64,
) -> ReadResult<Option<Vec<Row>>> {
    let index = Index::new(rows)?;
    let expired = moved(expired, now, &index, Deadline::Expiry)?.rows;
    if rows.len()?.saturating_sub(expired) > limit {
        return Ok(None);
    }
    Ok(Some(index.after(Deadline::Expiry, now)?))
}

/// Moves a counter to another point in time by counting the rows in between.
pub(crate) fn moved<T: ReadableTable<Key, ()>>(
    counter: Counter,
    to: Timestamp,
    index: &Index<'_, T>,
    deadline: Deadline,
) -> ReadResult<Counter> {
    let rows = if to >= counter.point {
        counter.rows + index.count(deadline, counter.point, to)?
    } else {
        let after = index.count(deadline, to, counter.point)?;
        counter.rows.saturating_sub(after)
    };
    Ok(Counter { point: to, rows })
}
