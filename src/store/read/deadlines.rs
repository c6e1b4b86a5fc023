//! Queries for sessions that expire or come near their expiry.

use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::handle::Store;
use crate::store::schema::deadline::{Deadline, DueSession, Index};

impl Store {
    /// Returns the first expiries after `after`, up to and including a time, in their order.
    pub async fn due_expiries(
        &self,
        after: Option<DueSession>,
        until: Timestamp,
        limit: usize,
    ) -> ReadResult<Vec<DueSession>> {
        self.read(|reader| {
            Index::new(&reader.deadlines()?)?.due(Deadline::Expiry, after, until, limit)
        })
    }

    /// Returns the first warnings after `after`, up to and including a time, in their order, each
    /// with its session unless that is damaged.
    pub async fn due_warnings(
        &self,
        after: Option<DueSession>,
        until: Timestamp,
        limit: usize,
    ) -> ReadResult<Vec<(DueSession, Option<Session>)>> {
        self.read(|reader| {
            let rows = reader.deadlines()?;
            let due = Index::new(&rows)?.due(Deadline::Warning, after, until, limit)?;
            due.into_iter()
                .map(|place| Ok((place, reader.undamaged_session(place.1)?)))
                .collect()
        })
    }

    /// Returns the time of the first warning after `warned`, or of the first expiry after
    /// `expired`, whichever is earlier.
    pub async fn next_deadline_after(
        &self,
        warned: Timestamp,
        expired: Timestamp,
    ) -> ReadResult<Option<Timestamp>> {
        self.read(|reader| {
            let rows = reader.deadlines()?;
            let index = Index::new(&rows)?;
            let warning = index.next(Deadline::Warning, warned)?;
            let expiry = index.next(Deadline::Expiry, expired)?;
            Ok(warning.into_iter().chain(expiry).min())
        })
    }
}
