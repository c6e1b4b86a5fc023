//! Reading a session's messages a page at a time.

use std::iter;
use std::ops::Range;

use redb::AccessGuard;

use super::reader::Reader;
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::ReadError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::record;

type Result<T> = std::result::Result<T, ReadError>;

/// A message that is not decoded yet, and its time.
type Row<'r> = (Timestamp, AccessGuard<'r, &'static [u8]>);

/// Which messages a page holds: times exclusive.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Only messages earlier than this.
    pub before: Option<Timestamp>,
    /// Only messages later than this.
    pub after: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
}

/// A page of messages, with texts of its own or lent ones.
#[derive(Debug, Clone)]
pub struct Page<T = String> {
    /// The messages, newest first.
    pub messages: Vec<Message<T>>,
    /// Whether there are more in the direction of paging.
    pub has_more: bool,
}

impl PageRequest {
    /// The newest messages, at most so many.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        Self {
            before: None,
            after: None,
            limit,
        }
    }

    fn keys(self, session: SessionId) -> Range<(u128, i64)> {
        let first = self.after.map_or(i64::MIN, |after| after.next().0);
        let end = self.before.map_or(i64::MAX, |before| before.0);
        (session.into(), first)..(session.into(), end)
    }

    /// Whether the page is the oldest of what is asked for, and not the newest.
    fn is_forward(self) -> bool {
        self.after.is_some() && self.before.is_none()
    }
}

impl Reader<'_> {
    /// A page of a session's messages; damaged ones are left out.
    pub(in crate::store) fn messages(
        &self,
        session: SessionId,
        request: PageRequest,
    ) -> Result<Page> {
        self.with_messages(session, request, |page| Page {
            messages: page.messages.into_iter().map(Message::into_owned).collect(),
            has_more: page.has_more,
        })
    }

    /// What is made of such a page while it is lent: nothing of it is copied.
    pub(in crate::store) fn with_messages<T>(
        &self,
        session: SessionId,
        request: PageRequest,
        make: impl FnOnce(Page<&str>) -> T,
    ) -> Result<T> {
        let mut rest = self.rows(session, request)?;
        // One more than asked for tells whether there are more.
        let mut wanted = request.limit + 1;
        let mut rows = Vec::with_capacity(wanted);
        loop {
            for row in rest.by_ref().take(wanted - rows.len()) {
                rows.push(row?);
            }
            let mut messages = self.undamaged_of(session, &rows);
            let has_more = messages.len() > request.limit;
            if has_more || rows.len() < wanted {
                messages.truncate(request.limit);
                if request.is_forward() {
                    messages.reverse();
                }
                return Ok(make(Page { messages, has_more }));
            }
            // Others take the place of the damaged ones: so many more that of any number of them
            // none is decoded often.
            wanted *= 2;
        }
    }

    /// What is asked for, in the direction of paging.
    fn rows(
        &self,
        session: SessionId,
        request: PageRequest,
    ) -> Result<impl Iterator<Item = Result<Row<'_>>>> {
        let keys = request.keys(session);
        let forward = request.is_forward();
        // The end is found by the keys, which are decoded in any case: redb would compare each of
        // them once more.
        let table = &self.snapshot.messages;
        let mut range = if forward {
            table.range(keys.start..)?
        } else {
            table.range(..keys.end)?
        };
        let next = move || {
            if forward {
                range.next()
            } else {
                range.next_back()
            }
        };
        Ok(iter::from_fn(next).map_while(move |row| match row {
            Ok((key, bytes)) => {
                let key = key.value();
                keys.contains(&key).then_some(Ok((Timestamp(key.1), bytes)))
            }
            Err(error) => Some(Err(error.into())),
        }))
    }

    fn undamaged_of<'r>(&self, session: SessionId, rows: &'r [Row<'_>]) -> Vec<Message<&'r str>> {
        let mut messages = Vec::with_capacity(rows.len());
        for (at, bytes) in rows {
            match record::borrow_message(session, *at, bytes.value()) {
                Ok(message) => messages.push(message),
                Err(error) => self
                    .damage
                    .note(session, RecordLocation::Message(*at), &error),
            }
        }
        messages
    }
}
