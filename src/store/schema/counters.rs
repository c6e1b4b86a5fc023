//! How many index rows lie before a point in time, without counting them each time.
//!
//! redb knows how many rows a table has, but not how many lie before a key. So each tally holds a
//! point and the number of rows at or before it; whoever adds or removes a row before the point
//! says so, and walking the point forward counts only the rows in between. The tallies are rows of
//! the same transactions as the index rows, so every snapshot has those that fit it.

use redb::{ReadableTable, Table};

use super::deadline::{Deadline, Index, Key, Row};
use super::record::{self, Counter};
use super::tables::meta;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, ReadError};

/// The tallies of one snapshot.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Counters {
    /// Expiries up to about now: the sessions that have expired.
    pub(in crate::store) expired: Counter,
    /// Warnings up to about now: the sessions near their expiry, or past it.
    pub(in crate::store) warned: Counter,
    /// Expiries up to about the end of their keeping: the sessions to purge.
    pub(in crate::store) ended: Counter,
    changed: bool,
}

const START: Counter = Counter {
    point: Timestamp::MIN,
    rows: 0,
};

impl Counters {
    pub(in crate::store) fn load(
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, ReadError> {
        let load = |name: &str| -> Result<Counter, ReadError> {
            match meta.get(name)? {
                None => Ok(START),
                // One that is damaged is counted anew.
                Some(bytes) => Ok(record::decode_tally(bytes.value()).unwrap_or(START)),
            }
        };
        Ok(Self {
            expired: load(meta::EXPIRED)?,
            warned: load(meta::WARNED)?,
            ended: load(meta::ENDED)?,
            changed: false,
        })
    }

    pub(in crate::store) fn save(
        &self,
        meta: &mut Table<'_, &'static str, &'static [u8]>,
    ) -> Result<(), CommandError> {
        if !self.changed {
            return Ok(());
        }
        for (name, tally) in [
            (meta::EXPIRED, self.expired),
            (meta::WARNED, self.warned),
            (meta::ENDED, self.ended),
        ] {
            meta.insert(name, record::encode_tally(tally)?.as_slice())?;
        }
        Ok(())
    }

    pub(in crate::store) fn row_added(&mut self, row: Row) {
        self.shift(row, |tally| tally.rows += 1);
    }

    pub(in crate::store) fn row_removed(&mut self, row: Row) {
        self.shift(row, |tally| tally.rows = tally.rows.saturating_sub(1));
    }

    /// Moves the points; returns whether anything changed.
    pub(in crate::store) fn walk(
        &mut self,
        rows: &Table<'_, Key, ()>,
        now: Timestamp,
        ended: Timestamp,
    ) -> Result<bool, ReadError> {
        let before = (self.expired, self.warned, self.ended);
        let index = Index::of(rows)?;
        self.expired = moved(self.expired, now, &index, Deadline::Expiry)?;
        self.warned = moved(self.warned, now, &index, Deadline::Warning)?;
        self.ended = moved(self.ended, ended, &index, Deadline::Expiry)?;
        let moved = before != (self.expired, self.warned, self.ended);
        self.changed |= moved;
        Ok(moved)
    }

    fn shift(&mut self, row: Row, by_one: impl Fn(&mut Counter)) {
        for (tally, at) in [
            (&mut self.expired, row.expires_at),
            (&mut self.warned, row.warn_at),
            (&mut self.ended, row.expires_at),
        ] {
            if at <= tally.point {
                by_one(tally);
                self.changed = true;
            }
        }
    }
}

/// The rows of the active sessions, in no order; none where there are more than `limit`.
pub(in crate::store) fn active_rows<T: ReadableTable<Key, ()>>(
    rows: &T,
    expired: Counter,
    now: Timestamp,
    limit: u64,
) -> Result<Option<Vec<Row>>, ReadError> {
    let index = Index::of(rows)?;
    let expired = moved(expired, now, &index, Deadline::Expiry)?.rows;
    if rows.len()?.saturating_sub(expired) > limit {
        return Ok(None);
    }
    Ok(Some(index.after(Deadline::Expiry, now)?))
}

/// The tally moved to another point, by counting the rows in between.
pub(in crate::store) fn moved<T: ReadableTable<Key, ()>>(
    tally: Counter,
    to: Timestamp,
    index: &Index<'_, T>,
    deadline: Deadline,
) -> Result<Counter, ReadError> {
    let rows = if to >= tally.point {
        tally.rows + index.count(deadline, tally.point, to)?
    } else {
        let after = index.count(deadline, to, tally.point)?;
        tally.rows.saturating_sub(after)
    };
    Ok(Counter { point: to, rows })
}
