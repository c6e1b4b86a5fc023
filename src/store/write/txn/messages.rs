//! Messages, and their removal after their session.

use redb::ReadableTable as _;

use super::{Result, Txn};
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::time::Timestamp;
use crate::store::error::CommandError;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::record;
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    pub(in crate::store) fn message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<Message>> {
        let Some(bytes) = self.messages.open()?.get((session.into(), at.0))? else {
            return Ok(None);
        };
        let message = record::decode_message(session, at, bytes.value());
        Ok(Some(self.noted(
            session,
            || RecordLocation::Message(at),
            message,
        )?))
    }

    /// The same; a damaged message counts as none.
    pub(in crate::store) fn undamaged_message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<Message>> {
        match self.message(session, at) {
            Err(CommandError::Record(_)) => Ok(None),
            other => other,
        }
    }

    /// Stores a message; one that is too large is its caller's trouble alone, so that a command
    /// must write its new message first.
    pub(in crate::store) fn put_message(&mut self, message: &Message) -> Result<()> {
        let bytes = record::encode_message(message)?;
        self.writes(&bytes);
        let key = (message.session_id.into(), message.created_at.0);
        self.messages.open_mut()?.insert(key, bytes.as_slice())?;
        Ok(())
    }

    /// The time of the session's next message: now, or just after the message before it.
    pub(in crate::store) fn next_message_at(&self, session: SessionId) -> Result<Timestamp> {
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

    /// Notes that a session's messages are to be removed later.
    pub(in crate::store) fn defer_deletion(&mut self, session: SessionId) -> Result<()> {
        self.dirty = true;
        self.deletions.open_mut()?.insert(u128::from(session), ())?;
        Ok(())
    }

    /// The first deletion that is still to be carried out.
    pub(in crate::store) fn next_deletion(&self) -> Result<Option<SessionId>> {
        Ok(self
            .deletions
            .open()?
            .first()?
            .map(|(id, _)| SessionId::from(id.value())))
    }

    pub(in crate::store) fn finish_deletion(&mut self, session: SessionId) -> Result<()> {
        self.dirty = true;
        self.deletions.open_mut()?.remove(u128::from(session))?;
        Ok(())
    }

    /// Removes up to `limit` of a session's messages, their keys and what is set aside of it;
    /// returns how many.
    pub(in crate::store) fn remove_messages(
        &mut self,
        session: SessionId,
        limit: usize,
    ) -> Result<usize> {
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
            self.sound_now.push(session);
        }
        self.dirty |= removed > 0;
        Ok(removed)
    }
}
