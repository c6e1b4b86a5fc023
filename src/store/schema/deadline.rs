//! The expiry-ordered index: when sessions expire, and when they come near it.
//!
//! A session's warning comes a span before its expiry, and that span is a number of minutes that
//! somebody configured: there are many sessions and few spans. The rows are ordered by the span
//! and then by the expiry, so within a span they are in the order of both instants, and one row
//! serves both. What is due is a range of rows for each span in use. A row of its own for the
//! warning would make every heartbeat write a third more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use redb::ReadableTable;

use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::store::error::ReadError;

type Result<T> = std::result::Result<T, ReadError>;

/// The key of a row: the span from the warning to the expiry, the expiry, the session.
pub(in crate::store) type Key = (i64, i64, u128);

/// Something that falls due by the clock alone, and where it stands among its like.
pub type Place = (Timestamp, SessionId);

/// Which of a session's two instants is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// That of its expiry.
    Expiry,
    /// That from which it is near its expiry.
    Warning,
}

/// A session's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Row {
    pub(in crate::store) expires_at: Timestamp,
    pub(in crate::store) warn_at: Timestamp,
    pub(in crate::store) session: SessionId,
}

impl Row {
    /// The row that a session has to have.
    pub(in crate::store) fn of(session: &Session) -> Self {
        Self {
            expires_at: session.expires_at,
            warn_at: session.warn_at,
            session: session.id,
        }
    }

    pub(in crate::store) fn from_key((span, expires_at, session): Key) -> Self {
        let expires_at = Timestamp(expires_at);
        Self {
            expires_at,
            warn_at: expires_at - Millis(span),
            session: session.into(),
        }
    }

    pub(in crate::store) fn key(self) -> Key {
        let span = self.expires_at.since(self.warn_at);
        (span.0, self.expires_at.0, self.session.into())
    }

    fn place(self, deadline: Deadline) -> Place {
        let at = match deadline {
            Deadline::Expiry => self.expires_at,
            Deadline::Warning => self.warn_at,
        };
        (at, self.session)
    }
}

/// The index with the spans that are in use, each of which costs a look to find.
pub(in crate::store) struct Index<'a, T> {
    rows: &'a T,
    spans: Vec<Millis>,
}

impl<'a, T: ReadableTable<Key, ()>> Index<'a, T> {
    pub(in crate::store) fn of(rows: &'a T) -> Result<Self> {
        let mut spans = Vec::new();
        let mut next = Bound::Unbounded;
        while let Some(row) = rows.range((next, Bound::Unbounded))?.next() {
            let span = row?.0.value().0;
            spans.push(Millis(span));
            next = Bound::Excluded((span, i64::MAX, u128::MAX));
        }
        Ok(Self { rows, spans })
    }

    /// The first deadlines after a place, up to a time and including it, in their order.
    pub(in crate::store) fn due(
        &self,
        deadline: Deadline,
        after: Option<Place>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>> {
        let mut lanes = Vec::new();
        let mut heads = BinaryHeap::new();
        for span in &self.spans {
            let Some(range) = range(deadline, *span, after, until) else {
                continue;
            };
            let mut lane = self.rows.range(range)?;
            if let Some(row) = lane.next() {
                let place = Row::from_key(row?.0.value()).place(deadline);
                heads.push(Reverse((place, lanes.len())));
                lanes.push(lane);
            }
        }
        let mut due = Vec::new();
        while due.len() < limit
            && let Some(Reverse((place, lane))) = heads.pop()
        {
            due.push(place);
            if let Some(row) = lanes[lane].next() {
                let place = Row::from_key(row?.0.value()).place(deadline);
                heads.push(Reverse((place, lane)));
            }
        }
        Ok(due)
    }

    /// The first deadline after a time.
    pub(in crate::store) fn next(
        &self,
        deadline: Deadline,
        after: Timestamp,
    ) -> Result<Option<Timestamp>> {
        let after = Some((after, SessionId::from(u128::MAX)));
        let first = self.due(deadline, after, Timestamp::MAX, 1)?;
        Ok(first.first().map(|place| place.0))
    }

    /// The rows whose deadline comes after a time, in no order.
    pub(in crate::store) fn after(&self, deadline: Deadline, time: Timestamp) -> Result<Vec<Row>> {
        let after = Some((time, SessionId::from(u128::MAX)));
        let mut rows = Vec::new();
        for span in &self.spans {
            let Some(range) = range(deadline, *span, after, Timestamp::MAX) else {
                continue;
            };
            for row in self.rows.range(range)? {
                rows.push(Row::from_key(row?.0.value()));
            }
        }
        Ok(rows)
    }

    /// How many deadlines lie after one point, up to another and including it.
    pub(in crate::store) fn count(
        &self,
        deadline: Deadline,
        after: Timestamp,
        until: Timestamp,
    ) -> Result<u64> {
        let after = Some((after, SessionId::from(u128::MAX)));
        let mut rows = 0;
        for span in &self.spans {
            let Some(range) = range(deadline, *span, after, until) else {
                continue;
            };
            for row in self.rows.range(range)? {
                row?;
                rows += 1;
            }
        }
        Ok(rows)
    }
}

/// The rows of a span whose deadlines come after a place, up to a time and including it; none
/// where there is nothing between the two.
fn range(
    deadline: Deadline,
    span: Millis,
    after: Option<Place>,
    until: Timestamp,
) -> Option<(Bound<Key>, Bound<Key>)> {
    // The expiry of the rows whose deadline is at a time.
    let expiry = |at: Timestamp| match deadline {
        Deadline::Expiry => at,
        Deadline::Warning => at + span,
    };
    let end = (span.0, expiry(until).0, u128::MAX);
    let Some((at, session)) = after else {
        let first = (span.0, i64::MIN, 0);
        return Some((Bound::Included(first), Bound::Included(end)));
    };
    let start = (span.0, expiry(at).0, u128::from(session));
    (start < end).then_some((Bound::Excluded(start), Bound::Included(end)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Database, ReadableDatabase as _};

    use super::*;
    use crate::store::schema::tables::DEADLINES;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        // Few spans and few instants, so that many fall together.
        let row = (0..4_i64, -20..20_i64, 0..6_u128).prop_map(|(span, at, session)| Row {
            expires_at: Timestamp(at),
            warn_at: Timestamp(at - span * 5),
            session: SessionId::from(session),
        });
        prop::collection::vec(row, 0..40)
    }

    fn places(rows: &[Row], deadline: Deadline) -> Vec<Place> {
        let mut places: Vec<Place> = rows.iter().map(|row| row.place(deadline)).collect();
        places.sort_unstable();
        places
    }

    proptest! {
        #[test]
        fn one_row_serves_both_instants(
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
            let index = Index::of(&table).unwrap();

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
