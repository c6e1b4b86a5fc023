//! Queries for messages, and pages of them.

use std::iter;
use std::ops::Range;

use redb::AccessGuard;

use super::reader::Reader;
use crate::domain::id::SessionId;
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::handle::Store;
use crate::store::quarantine::location::{KeyKind, RecordLocation};
use crate::store::schema::record;
use crate::store::schema::tables::MESSAGE_KEYS;

/// The time of a message and its record, which is not decoded yet.
type Row<'r> = (Timestamp, AccessGuard<'r, &'static [u8]>);

/// The messages to return, between two times, both exclusive.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Only messages earlier than this.
    pub before: Option<Timestamp>,
    /// Only messages later than this.
    pub after: Option<Timestamp>,
    /// The maximum number of messages.
    pub limit: usize,
}

/// A page of messages, with owned or borrowed texts.
#[derive(Debug, Clone)]
pub struct Page<T = String> {
    /// The messages, newest first.
    pub messages: Vec<Message<T>>,
    /// Whether there are more in the direction of paging.
    pub has_more: bool,
}

impl PageRequest {
    /// Requests up to `limit` of the newest messages.
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

    /// Whether the page holds the oldest of the requested messages, not the newest.
    fn is_forward(self) -> bool {
        self.after.is_some() && self.before.is_none()
    }
}

impl Reader<'_> {
    /// Returns a page of a session's messages, except damaged ones.
    pub(crate) fn messages(&self, session: SessionId, request: PageRequest) -> ReadResult<Page> {
        self.with_messages(session, request, |page| Page {
            messages: page.messages.into_iter().map(Message::into_owned).collect(),
            has_more: page.has_more,
        })
    }

    /// Passes such a page to `make`, with borrowed texts, and returns the result.
    pub(crate) fn with_messages<T>(
        &self,
        session: SessionId,
        request: PageRequest,
        make: impl FnOnce(Page<&str>) -> T,
    ) -> ReadResult<T> {
        let mut rest = self.rows(session, request)?;
        // One more than requested shows whether there are more.
        let mut wanted = request.limit + 1;
        let mut rows = Vec::with_capacity(wanted);
        loop {
            for row in rest.by_ref().take(wanted - rows.len()) {
                rows.push(row?);
            }
            let undamaged = rows
                .iter()
                .filter_map(|(at, bytes)| self.borrow_message(session, *at, bytes.value()).ok());
            let mut messages: Vec<_> = undamaged.collect();
            let has_more = messages.len() > request.limit;
            if has_more || rows.len() < wanted {
                messages.truncate(request.limit);
                if request.is_forward() {
                    messages.reverse();
                }
                return Ok(make(Page { messages, has_more }));
            }
            // Further messages replace the damaged ones: twice as many each time, so that none is
            // decoded often.
            wanted *= 2;
        }
    }

    /// Passes the newest of a session's messages, except damaged ones, to `make`.
    pub(crate) fn newest_message<T>(
        &self,
        session: SessionId,
        make: impl FnOnce(Message<&str>) -> T,
    ) -> ReadResult<Option<T>> {
        for row in self.rows(session, PageRequest::newest(1))? {
            let (at, bytes) = row?;
            if let Ok(message) = self.borrow_message(session, at, bytes.value()) {
                return Ok(Some(make(message)));
            }
        }
        Ok(None)
    }

    /// Returns the requested rows in the direction of paging.
    fn rows(
        &self,
        session: SessionId,
        request: PageRequest,
    ) -> ReadResult<impl Iterator<Item = ReadResult<Row<'_>>>> {
        let keys = request.keys(session);
        let forward = request.is_forward();
        // The end is found by the keys, which are decoded anyway: redb would compare each of them
        // once more.
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
}

impl Store {
    /// Returns a page of a session's messages, except damaged ones.
    pub async fn message_page(&self, session: SessionId, request: PageRequest) -> ReadResult<Page> {
        self.read(|reader| reader.messages(session, request))
    }

    /// Passes a page of a session's messages to `make`, with borrowed texts, and returns the
    /// result.
    pub async fn with_message_page<T>(
        &self,
        session: SessionId,
        request: PageRequest,
        make: impl FnOnce(Page<&str>) -> T,
    ) -> ReadResult<T> {
        self.read(|reader| reader.with_messages(session, request, make))
    }

    /// Returns the message of a session that was sent under a key. Fails on a damaged record.
    pub async fn message_of_key(
        &self,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> ReadResult<Option<Message>> {
        self.read(|reader| {
            let keys = reader.snapshot.txn.open_table(MESSAGE_KEYS)?;
            let Some(bytes) = keys.get((session.into(), key.as_str()))? else {
                return Ok(None);
            };
            let location = || RecordLocation::Key(KeyKind::Send, key.clone());
            let at = record::decode_time(bytes.value());
            reader.message(session, reader.quarantine.inspect(session, location, at)?)
        })
    }
}
