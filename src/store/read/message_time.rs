//! Finding a message by its id.

use crate::domain::id::{MessageId, SessionId};
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::handle::Store;
use crate::store::schema::record;

/// The result of searching a part of a session's messages for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageTimeSearch {
    /// The message was stored at this time.
    Found(Timestamp),
    /// It is not among the messages from this time on.
    NotFrom(Timestamp),
    /// It is not in the session.
    Missing,
}

impl Store {
    /// Searches up to `limit` of a session's messages before a time for one, newest first. There is
    /// no index of messages by their ids, so a search reads a session in slices. A damaged message
    /// is not found.
    pub async fn search_message(
        &self,
        session: SessionId,
        message: MessageId,
        before: Timestamp,
        limit: usize,
    ) -> ReadResult<MessageTimeSearch> {
        self.read(|reader| {
            let id = u128::from(session);
            let mut last = None;
            let rows = &reader.snapshot.messages;
            for row in rows
                .range((id, i64::MIN)..(id, before.0))?
                .rev()
                .take(limit)
            {
                let (key, bytes) = row?;
                let at = Timestamp(key.value().1);
                last = Some(at);
                if record::has_message_id(bytes.value(), message)
                    && reader.borrow_message(session, at, bytes.value()).is_ok()
                {
                    return Ok(MessageTimeSearch::Found(at));
                }
            }
            Ok(last.map_or(MessageTimeSearch::Missing, MessageTimeSearch::NotFrom))
        })
    }
}
