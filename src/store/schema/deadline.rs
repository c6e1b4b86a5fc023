//! The time-ordered index of the sessions' warnings and expiries.
//!
//! A session's warning precedes its expiry by a configured number of minutes: there are many
//! sessions and few such spans. Rows are ordered by span and then by expiry, so within a span they
//! are in the order of both deadlines, and one row serves both. The due rows are one range per span
//! in use. A separate row for the warning would make every heartbeat write a third more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use redb::ReadableTable;

use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::store::error::ReadResult;

/// The key of a row: the span from the warning to the expiry, the expiry, the session.
pub(crate) type Key = (i64, i64, u128);

/// The time of a deadline and its session, in the order in which deadlines fall due.
pub type DueSession = (Timestamp, SessionId);

/// One of a session's two deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// The session expires.
    Expiry,
    /// The session comes near its expiry.
    Warning,
}

/// The row of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) expires_at: Timestamp,
    pub(crate) warn_at: Timestamp,
    pub(crate) session: SessionId,
}

impl Row {
    /// Returns the row that a session must have.
    pub(crate) fn for_session(session: &Session) -> Self {
        Self {
            expires_at: session.expires_at,
            warn_at: session.warn_at,
            session: session.id,
        }
    }

    pub(crate) fn from_key((span, expires_at, session): Key) -> Self {
        let expires_at = Timestamp(expires_at);
        Self {
            expires_at,
            warn_at: expires_at - Millis(span),
            session: session.into(),
        }
    }

    pub(crate) fn key(self) -> Key {
        let span = self.expires_at.since(self.warn_at);
        (span.0, self.expires_at.0, self.session.into())
    }

    pub(crate) fn time_of(self, deadline: Deadline) -> Timestamp {
        match deadline {
            Deadline::Expiry => self.expires_at,
            Deadline::Warning => self.warn_at,
        }
    }

    fn place(self, deadline: Deadline) -> DueSession {
        (self.time_of(deadline), self.session)
    }
}

/// The index with the spans in use, each of which costs a lookup to find.
pub(crate) struct Index<'a, T> {
    rows: &'a T,
    spans: Vec<Millis>,
}

impl<'a, T: ReadableTable<Key, ()>> Index<'a, T> {
    pub(crate) fn new(rows: &'a T) -> ReadResult<Self> {
        let mut spans = Vec::new();
        let mut next = Bound::Unbounded;
        while let Some(row) = rows.range((next, Bound::Unbounded))?.next() {
            let span = row?.0.value().0;
            spans.push(Millis(span));
            next = Bound::Excluded((span, i64::MAX, u128::MAX));
        }
        Ok(Self { rows, spans })
    }

    /// Returns the first deadlines after `after`, up to and including a time, in their order.
    pub(crate) fn due(
        &self,
        deadline: Deadline,
        after: Option<DueSession>,
        until: Timestamp,
        limit: usize,
    ) -> ReadResult<Vec<DueSession>> {
        // Merges the spans, each of which is in order.
        let mut spans = Vec::new();
        let mut heads = BinaryHeap::new();
        for range in self.ranges(deadline, after, until) {
            let mut rows = self.rows.range(range)?;
            if let Some(row) = rows.next() {
                let place = Row::from_key(row?.0.value()).place(deadline);
                heads.push(Reverse((place, spans.len())));
                spans.push(rows);
            }
        }
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(Reverse((place, span))) = heads.pop()
        {
            due.push(place);
            if let Some(row) = spans[span].next() {
                let place = Row::from_key(row?.0.value()).place(deadline);
                heads.push(Reverse((place, span)));
            }
        }
        Ok(due)
    }

    /// Returns the first deadline after a time.
    pub(crate) fn next(
        &self,
        deadline: Deadline,
        after: Timestamp,
    ) -> ReadResult<Option<Timestamp>> {
        let first = self.due(deadline, Some(end_of(after)), Timestamp::MAX, 1)?;
        Ok(first.first().map(|place| place.0))
    }

    /// Returns the rows whose deadline comes after a time, in no particular order.
    pub(crate) fn after(&self, deadline: Deadline, time: Timestamp) -> ReadResult<Vec<Row>> {
        let mut rows = Vec::new();
        for range in self.ranges(deadline, Some(end_of(time)), Timestamp::MAX) {
            for row in self.rows.range(range)? {
                rows.push(Row::from_key(row?.0.value()));
            }
        }
        Ok(rows)
    }

    /// Returns the number of deadlines after one time, up to and including another.
    pub(crate) fn count(
        &self,
        deadline: Deadline,
        after: Timestamp,
        until: Timestamp,
    ) -> ReadResult<u64> {
        let mut rows = 0;
        for range in self.ranges(deadline, Some(end_of(after)), until) {
            for row in self.rows.range(range)? {
                row?;
                rows += 1;
            }
        }
        Ok(rows)
    }

    /// Returns the ranges of rows whose deadlines come after `after`, up to and including a time.
    fn ranges(
        &self,
        deadline: Deadline,
        after: Option<DueSession>,
        until: Timestamp,
    ) -> impl Iterator<Item = (Bound<Key>, Bound<Key>)> {
        self.spans.iter().filter_map(move |span| {
            let expiry_of = |at: Timestamp| match deadline {
                Deadline::Expiry => at,
                Deadline::Warning => at + *span,
            };
            let end = (span.0, expiry_of(until).0, u128::MAX);
            let Some((at, session)) = after else {
                let first = (span.0, i64::MIN, 0);
                return Some((Bound::Included(first), Bound::Included(end)));
            };
            let start = (span.0, expiry_of(at).0, u128::from(session));
            (start < end).then_some((Bound::Excluded(start), Bound::Included(end)))
        })
    }
}

/// Returns the last possible position at a time.
fn end_of(time: Timestamp) -> DueSession {
    (time, SessionId::from(u128::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase as _};

    use super::*;
    use crate::store::schema::tables::DEADLINES;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        // Few spans and few times, so that many coincide.
        let row = (0..4_i64, -20..20_i64, 0..6_u128).prop_map(|(span, at, session)| Row {
            expires_at: Timestamp(at),
            warn_at: Timestamp(at - span * 5),
            session: SessionId::from(session),
        });
        prop::collection::vec(row, 0..40)
    }

    fn places(rows: &[Row], deadline: Deadline) -> Vec<DueSession> {
        let mut places: Vec<DueSession> = rows.iter().map(|row| row.place(deadline)).collect();
        places.sort_unstable();
        places
    }

    proptest! {
        #[test]
        fn one_row_serves_both_deadlines(
            rows in rows(),
            after in prop::option::of((-40..30_i64, 0..6_u128)),
            until in -40..30_i64,
            limit in 0..50_usize,
        ) {
            let backend = InMemoryBackend::new();
            let database = Database::builder().create_with_backend(backend).unwrap();
            let txn = database.begin_write().unwrap();
            let mut table = txn.open_table(DEADLINES).unwrap();
            let mut distinct = std::collections::BTreeMap::new();
            for row in rows {
                assert_eq!(Row::from_key(row.key()), row);
                table.insert(row.key(), ()).unwrap();
                distinct.insert(row.key(), row);
            }
            drop(table);
            txn.commit().unwrap();
            let rows: Vec<Row> = distinct.into_values().collect();
            let table = database.begin_read().unwrap().open_table(DEADLINES).unwrap();
            let index = Index::new(&table).unwrap();

            let after = after.map(|(at, id)| (Timestamp(at), SessionId::from(id)));
            let until = Timestamp(until);
            for deadline in [Deadline::Expiry, Deadline::Warning] {
                let mut expected = places(&rows, deadline);
                expected.retain(|place| Some(*place) > after && place.0 <= until);
                expected.truncate(limit);
                prop_assert_eq!(index.due(deadline, after, until, limit).unwrap(), expected);

                let from = after.map_or(Timestamp::MIN, |after| after.0);
                let later = places(&rows, deadline).into_iter().filter(|place| place.0 > from);
                let count = later.clone().filter(|place| place.0 <= until).count();
                prop_assert_eq!(index.count(deadline, from, until).unwrap(), count as u64);
                let first = later.map(|place| place.0).next();
                prop_assert_eq!(index.next(deadline, from).unwrap(), first);

                let is_later = |row: &&Row| row.place(deadline).0 > from;
                let mut later: Vec<_> = rows.iter().filter(is_later).copied().collect();
                later.sort_unstable_by_key(|row| row.key());
                let mut found = index.after(deadline, from).unwrap();
                found.sort_unstable_by_key(|row| row.key());
                prop_assert_eq!(found, later);
            }
        }
    }
}
