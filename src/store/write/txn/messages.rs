//! Messages, and their removal after their session was deleted.

use redb::ReadableTable as _;

use super::Txn;
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::record;
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    pub(crate) fn message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> CommandResult<Option<Message>> {
        let Some(bytes) = self.messages.open()?.get((session.into(), at.0))? else {
            return Ok(None);
        };
        let message = record::decode_message(session, at, bytes.value());
        Ok(Some(self.quarantine.inspect(
            session,
            || RecordLocation::Message(at),
            message,
        )?))
    }

    /// Like [`Self::message`], but returns none for a damaged message.
    pub(crate) fn undamaged_message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> CommandResult<Option<Message>> {
        match self.message(session, at) {
            Err(CommandError::Record(_)) => Ok(None),
            other => other,
        }
    }

    /// Stores a message. If it is too large, only its caller is refused, so a command must write
    /// its new message before anything else.
    pub(crate) fn put_message(&mut self, message: &Message) -> CommandResult<()> {
        let bytes = record::encode_message(message)?;
        let location = RecordLocation::Message(message.created_at);
        self.put_record(message.session_id, &location, &bytes)
    }

    /// Stores copies of messages, or none of them.
    pub(crate) fn put_copies(&mut self, copies: &[Message]) -> CommandResult<()> {
        let encoded = copies.iter().map(record::encode_message);
        let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
        for (copy, bytes) in copies.iter().zip(encoded) {
            let location = RecordLocation::Message(copy.created_at);
            self.put_record(copy.session_id, &location, &bytes)?;
        }
        Ok(())
    }

    /// Returns the newest of a session's messages up to a time, oldest first, except damaged ones:
    /// at most so many with at most so many bytes of text. Also returns whether these are all.
    pub(crate) fn newest_messages(
        &self,
        session: SessionId,
        until: Timestamp,
        (max_messages, max_bytes): (usize, usize),
    ) -> CommandResult<(Vec<Message>, bool)> {
        let id = u128::from(session);
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut is_complete = true;
        let rows = self.messages.open()?;
        for (nth, row) in rows
            .range((id, i64::MIN)..=(id, until.0))?
            .rev()
            .enumerate()
        {
            let (key, record) = row?;
            if nth == max_messages {
                is_complete = false;
                break;
            }
            let at = Timestamp(key.value().1);
            let message = record::decode_message(session, at, record.value());
            let location = || RecordLocation::Message(at);
            let Ok(message) = self.quarantine.inspect(session, location, message) else {
                is_complete = false;
                continue;
            };
            bytes += message.text_bytes();
            if bytes > max_bytes {
                is_complete = false;
                break;
            }
            found.push(message);
        }
        found.reverse();
        Ok((found, is_complete))
    }

    /// Returns the time of the session's next message: now, or just after the newest message.
    pub(crate) fn next_message_at(&self, session: SessionId) -> CommandResult<Timestamp> {
        let id = u128::from(session);
        let last = self
            .messages
            .open()?
            .range((id, i64::MIN)..=(id, i64::MAX))?
            .next_back();
        let Some(last) = last.transpose()? else {
            return Ok(self.now);
        };
        let (_, at) = last.0.value();
        Ok(self.now.max(Timestamp(at).next()))
    }

    /// Records that a session's messages are to be removed later.
    pub(crate) fn defer_deletion(&mut self, session: SessionId) -> CommandResult<()> {
        self.effects.dirty = true;
        self.deletions.open_mut()?.insert(u128::from(session), ())?;
        Ok(())
    }

    /// Returns the first session whose messages are to be removed.
    pub(crate) fn next_deletion(&self) -> CommandResult<Option<SessionId>> {
        Ok(self
            .deletions
            .open()?
            .first()?
            .map(|(id, _)| SessionId::from(id.value())))
    }

    pub(crate) fn finish_deletion(&mut self, session: SessionId) -> CommandResult<()> {
        self.effects.dirty = true;
        self.deletions.open_mut()?.remove(u128::from(session))?;
        Ok(())
    }

    /// Removes up to `limit` of a session's messages, their keys and its quarantined records;
    /// returns how many rows that were.
    pub(crate) fn remove_messages(
        &mut self,
        session: SessionId,
        limit: usize,
    ) -> CommandResult<usize> {
        let id = u128::from(session);
        let mut removed = 0;
        let range = (id, i64::MIN)..=(id, i64::MAX);
        for row in self
            .messages
            .open_mut()?
            .extract_from_if(range, |_, _| true)?
            .take(limit)
        {
            row?;
            removed += 1;
        }
        for table in [
            &mut self.message_keys,
            &mut self.submit_keys,
            &mut self.damaged,
        ] {
            for row in table
                .open_mut()?
                .extract_from_if::<(u128, &str), _>(names_of(id), |_, _| true)?
                .take(limit - removed)
            {
                row?;
                removed += 1;
            }
        }
        if removed < limit {
            self.effects.sound.push(session);
        }
        self.effects.dirty |= removed > 0;
        Ok(removed)
    }
}
