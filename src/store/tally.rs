//! How many index rows lie before a point in time, without counting them each time.
//!
//! redb knows how many rows a table has, but not how many lie before a key. So each tally holds a
//! point and the number of rows at or before it; whoever adds or removes a row before the point
//! says so, and walking the point forward counts only the rows in between. The tallies are rows of
//! the same transactions as the index rows, so every snapshot has those that fit it.

use redb::{ReadableTable, Table};

use super::error::{CommandError, ReadError};
use super::record::{self, Tally};
use super::tables::meta;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// The tallies of one snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tallies {
    /// Rows of `expiry` up to about now: the sessions that have expired.
    pub(super) expired: Tally,
    /// Rows of `warnings` up to about now: the sessions near their expiry, or past it.
    pub(super) warned: Tally,
    /// Rows of `expiry` up to about the end of their keeping: the sessions to purge.
    pub(super) ended: Tally,
    changed: bool,
}

type Index<'a> = dyn Fn(Timestamp, Timestamp) -> Result<u64, ReadError> + 'a;

const START: Tally = Tally {
    point: Timestamp::MIN,
    rows: 0,
};

impl Tallies {
    pub(super) fn load(
        meta: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<Self, ReadError> {
        let load = |name: &str| -> Result<Tally, ReadError> {
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

    pub(super) fn save(
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

    pub(super) fn session_added(&mut self, session: &Session) {
        self.shift(session.expires_at, session.warn_at, |tally| tally.rows += 1);
    }

    /// Notes the removal of those of a session's two rows that were there.
    pub(super) fn session_removed(&mut self, session: &Session, expiry: bool, warning: bool) {
        self.rows_removed(
            expiry.then_some(session.expires_at),
            warning.then_some(session.warn_at),
        );
    }

    /// Notes the removal of a row of either index.
    pub(super) fn rows_removed(&mut self, expiry: Option<Timestamp>, warning: Option<Timestamp>) {
        let expires_at = expiry.unwrap_or(Timestamp::MAX);
        let warn_at = warning.unwrap_or(Timestamp::MAX);
        self.shift(expires_at, warn_at, |tally| {
            tally.rows = tally.rows.saturating_sub(1);
        });
    }

    /// Moves the points; returns whether anything changed.
    pub(super) fn walk(
        &mut self,
        expiry: &Table<'_, (i64, u128), ()>,
        warnings: &Table<'_, (i64, u128), ()>,
        now: Timestamp,
        ended: Timestamp,
    ) -> Result<bool, ReadError> {
        let before = (self.expired, self.warned, self.ended);
        let count_expiry = |from, to| rows_between(expiry, from, to);
        let count_warnings = |from, to| rows_between(warnings, from, to);
        self.expired = moved(self.expired, now, &count_expiry)?;
        self.warned = moved(self.warned, now, &count_warnings)?;
        self.ended = moved(self.ended, ended, &count_expiry)?;
        let moved = before != (self.expired, self.warned, self.ended);
        self.changed |= moved;
        Ok(moved)
    }

    fn shift(&mut self, expires_at: Timestamp, warn_at: Timestamp, by_one: impl Fn(&mut Tally)) {
        for (tally, at) in [
            (&mut self.expired, expires_at),
            (&mut self.warned, warn_at),
            (&mut self.ended, expires_at),
        ] {
            if at <= tally.point {
                by_one(tally);
                self.changed = true;
            }
        }
    }
}

/// The tally moved to another point, by counting the rows in between.
pub(super) fn moved(tally: Tally, to: Timestamp, count: &Index<'_>) -> Result<Tally, ReadError> {
    let rows = if to >= tally.point {
        tally.rows + count(tally.point, to)?
    } else {
        tally.rows.saturating_sub(count(to, tally.point)?)
    };
    Ok(Tally { point: to, rows })
}

/// How many rows an index has after one point, up to another and including it.
pub(super) fn rows_between(
    index: &impl ReadableTable<(i64, u128), ()>,
    after: Timestamp,
    until: Timestamp,
) -> Result<u64, ReadError> {
    if after >= until {
        return Ok(0);
    }
    let mut rows = 0;
    for row in index.range((after.next().0, 0)..=(until.0, u128::MAX))? {
        row?;
        rows += 1;
    }
    Ok(rows)
}
