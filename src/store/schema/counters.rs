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
        let load = |name: &str| -> ReadResult<Counter> {
            match meta.get(name)? {
                None => Ok(START),
                // A damaged counter starts over.
                Some(bytes) => Ok(record::decode_counter(bytes.value()).unwrap_or(START)),
            }
        };
        Ok(Self {
            expired: load(meta::EXPIRED)?,
            warned: load(meta::WARNED)?,
            ended: load(meta::ENDED)?,
            changed: false,
        })
    }

    pub(crate) fn save(
        &self,
        meta: &mut Table<'_, &'static str, &'static [u8]>,
    ) -> CommandResult<()> {
        if !self.changed {
            return Ok(());
        }
        for (name, counter) in [
            (meta::EXPIRED, self.expired),
            (meta::WARNED, self.warned),
            (meta::ENDED, self.ended),
        ] {
            meta.insert(name, record::encode_counter(counter)?.as_slice())?;
        }
        Ok(())
    }

    pub(crate) fn row_added(&mut self, row: Row) {
        self.shift(row, |counter| counter.rows += 1);
    }

    pub(crate) fn row_removed(&mut self, row: Row) {
        self.shift(row, |counter| counter.rows = counter.rows.saturating_sub(1));
    }

    /// Advances the points in time; returns whether anything changed.
    pub(crate) fn advance(
        &mut self,
        rows: &Table<'_, Key, ()>,
        now: Timestamp,
        ended: Timestamp,
    ) -> ReadResult<bool> {
        let before = (self.expired, self.warned, self.ended);
        let index = Index::new(rows)?;
        self.expired = moved(self.expired, now, &index, Deadline::Expiry)?;
        self.warned = moved(self.warned, now, &index, Deadline::Warning)?;
        self.ended = moved(self.ended, ended, &index, Deadline::Expiry)?;
        let moved = before != (self.expired, self.warned, self.ended);
        self.changed |= moved;
        Ok(moved)
    }

    fn shift(&mut self, row: Row, by_one: impl Fn(&mut Counter)) {
        for (counter, at) in [
            (&mut self.expired, row.expires_at),
            (&mut self.warned, row.warn_at),
            (&mut self.ended, row.expires_at),
        ] {
            if at <= counter.point {
                by_one(counter);
                self.changed = true;
            }
        }
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
