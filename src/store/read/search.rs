//! The search of messages: one slice of it.

use std::ops::Bound;
use std::sync::Arc;

use super::reader::Reader;
use crate::domain::id::{SessionId, UserId};
use crate::domain::message::Message;
use crate::domain::search::{MessageFilter, SearchPosition, TextMatcher};
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::{Millis, Timestamp};
use crate::store::error::ReadResult;
use crate::store::handle::Store;
use crate::store::schema::tables::USER_SESSIONS;

/// The work after which a slice ends, so that its snapshot is held only briefly: as much as 4,096
/// short messages.
const SLICE_WORK: usize = 4096;

/// The work of finding a session and reading its record, in short messages.
const SESSION_WORK: usize = 8;

/// The length of a short message, in bytes.
const SHORT: usize = 1024;

/// The work between two questions whether the time is over: far less than a millisecond.
const CHECK_WORK: usize = 64;

/// A request for a slice of a search.
pub struct SearchRequest<'a> {
    /// The messages to search.
    pub filter: &'a MessageFilter,
    /// Compares texts with that of the filter; `None` if it has none.
    pub matcher: &'a mut Option<TextMatcher>,
    /// The last message of the previous slice.
    pub after: Option<SearchPosition>,
    /// The largest number of matches.
    pub limit: usize,
    /// The slice ends with the match that brings the texts of all to this many bytes.
    pub max_bytes: usize,
    /// The current time, which decides which sessions are retained.
    pub now: Timestamp,
    /// Whether the time of the search is over. Asked often.
    pub is_over: &'a (dyn Fn() -> bool + Sync),
}

/// A matching message.
#[derive(Debug)]
pub struct FoundMessage {
    /// Its session.
    pub session: Arc<Session>,
    /// The message.
    pub message: Message,
}

/// A slice of a search.
#[derive(Debug)]
pub struct SearchSlice {
    /// The matches, in the order of the search.
    pub found: Vec<FoundMessage>,
    /// The total length of their texts, in bytes.
    pub bytes: usize,
    /// Where the next slice continues; `None` at the end.
    pub next: Option<SearchPosition>,
    /// Whether the slice ended because the time is over.
    pub is_over: bool,
}

impl Store {
    /// Searches messages of active and retained sessions from a position on, in one snapshot and
    /// for a bounded time. Damaged records are skipped.
    ///
    /// A message that is stored between two slices of a search comes at most once, and every other
    /// message that is not erased meanwhile exactly once: keys never change.
    pub async fn search(&self, request: SearchRequest<'_>) -> ReadResult<SearchSlice> {
        let retention = self.rules().retention;
        self.read(|reader| {
            let mut search = Search {
                reader,
                retention,
                slice: SearchSlice {
                    found: Vec::new(),
                    bytes: 0,
                    next: request.after,
                    is_over: false,
                },
                request,
                work: 0,
                unchecked: 0,
            };
            search.run()?;
            Ok(search.slice)
        })
    }
}

/// What a search does next.
#[derive(PartialEq)]
enum Flow {
    Continue,
    Stop,
}

struct Search<'a> {
    reader: &'a Reader<'a>,
    request: SearchRequest<'a>,
    retention: Millis,
    slice: SearchSlice,
    work: usize,
    /// The work since the last question whether the time is over.
    unchecked: usize,
}

impl Search<'_> {
    /// Searches session by session until the slice ends.
    fn run(&mut self) -> ReadResult<()> {
        while let Some(id) = self.next_session()? {
            if self.is_full() || self.spend(SESSION_WORK) == Flow::Stop {
                return Ok(());
            }
            if let Some(session) = self.session(id)?
                && self.messages(&Arc::new(session))? == Flow::Stop
            {
                return Ok(());
            }
            self.slice.next = Some(SearchPosition {
                session: id,
                at: Timestamp::MIN,
            });
        }
        self.slice.next = None;
        Ok(())
    }

    /// Returns the session with which the search continues.
    fn next_session(&self) -> ReadResult<Option<SessionId>> {
        let below = match self.slice.next {
            Some(last) if last.at > Timestamp::MIN => return Ok(Some(last.session)),
            last => last.map(|last| last.session),
        };
        let filter = self.request.filter;
        match (filter.session, filter.user) {
            (Some(only), _) => Ok(below.is_none().then_some(only)),
            (None, Some(user)) => self.session_of_user(user, below),
            (None, None) => self.session_with_messages(below),
        }
    }

    fn session_of_user(
        &self,
        user: UserId,
        below: Option<SessionId>,
    ) -> ReadResult<Option<SessionId>> {
        let user = u128::from(user);
        let end = match below {
            Some(below) => Bound::Excluded((user, u128::from(below))),
            None => Bound::Included((user, u128::MAX)),
        };
        let index = self.reader.snapshot.txn.open_table(USER_SESSIONS)?;
        let last = index.range((Bound::Included((user, 0)), end))?.next_back();
        let row = last.transpose()?;
        Ok(row.map(|(key, _)| SessionId::from(key.value().1)))
    }

    fn session_with_messages(&self, below: Option<SessionId>) -> ReadResult<Option<SessionId>> {
        let messages = &self.reader.snapshot.messages;
        let last = match below {
            Some(below) => messages.range(..(u128::from(below), i64::MIN))?.next_back(),
            None => messages.range::<(u128, i64)>(..)?.next_back(),
        };
        let row = last.transpose()?;
        Ok(row.map(|(key, _)| SessionId::from(key.value().0)))
    }

    /// Returns a session if its messages can match.
    fn session(&self, id: SessionId) -> ReadResult<Option<Session>> {
        let session = self.reader.undamaged_session(id)?;
        let (filter, now) = (self.request.filter, self.request.now);
        Ok(session.filter(|it| {
            filter.includes(it) && it.life_stage(now, self.retention) != LifeStage::Gone
        }))
    }

    /// Searches the rest of a session's messages.
    fn messages(&mut self, session: &Arc<Session>) -> ReadResult<Flow> {
        let id = u128::from(session.id);
        let end = self.end_in(session.id);
        // The first message of another session ends the loop: that is cheaper than a second bound.
        let reader = self.reader;
        let rows = reader.snapshot.messages.range((Bound::Unbounded, end))?;
        let first = self.request.filter.from.unwrap_or(Timestamp::MIN);
        for row in rows.rev() {
            let (key, bytes) = row?;
            let (owner, at) = key.value();
            let at = Timestamp(at);
            if owner != id || at < first {
                break;
            }
            let bytes = bytes.value();
            if self.is_full() || self.spend(1 + bytes.len() / SHORT) == Flow::Stop {
                return Ok(Flow::Stop);
            }
            // A damaged record is noted for quarantine and skipped.
            if let Ok(message) = reader.borrow_message(session.id, at, bytes) {
                self.examine(session, message, bytes.len());
            }
            self.slice.next = Some(SearchPosition {
                session: session.id,
                at,
            });
        }
        Ok(Flow::Continue)
    }

    /// Returns the end of the keys of a session that are still to be searched.
    fn end_in(&self, session: SessionId) -> Bound<(u128, i64)> {
        let id = u128::from(session);
        let to = self.request.filter.to.unwrap_or(Timestamp::MAX);
        match self.slice.next {
            Some(last) if last.session == session && last.at <= to => {
                Bound::Excluded((id, last.at.0))
            }
            _ => Bound::Included((id, to.0)),
        }
    }

    fn examine(&mut self, session: &Arc<Session>, message: Message<&str>, bytes: usize) {
        if !self.request.filter.admits(&message) {
            return;
        }
        let matcher = self.request.matcher.as_mut();
        if !matcher.is_none_or(|matcher| matcher.matches(message.body.content)) {
            return;
        }
        // The metadata of the session is part of each message that is shown.
        self.slice.bytes += bytes + session.metadata.len();
        self.slice.found.push(FoundMessage {
            session: Arc::clone(session),
            message: message.into_owned(),
        });
    }

    fn is_full(&self) -> bool {
        self.slice.found.len() >= self.request.limit || self.slice.bytes >= self.request.max_bytes
    }

    /// Adds work. Returns whether the slice ends before it, for which it must have done something.
    fn spend(&mut self, work: usize) -> Flow {
        if self.work >= SLICE_WORK {
            return Flow::Stop;
        }
        if self.unchecked >= CHECK_WORK {
            self.unchecked = 0;
            if (self.request.is_over)() {
                self.slice.is_over = true;
                return Flow::Stop;
            }
        }
        self.work += work;
        self.unchecked += work;
        Flow::Continue
    }
}
