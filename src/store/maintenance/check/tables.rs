//! The checked tables.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata as _};

use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::deadline;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS,
    REMOTE_SESSIONS, SESSIONS, SUBMIT_KEYS, USER_SESSIONS, WAITING_TURNS, WaitingKey, names_of,
};

pub(super) struct Tables {
    pub(super) sessions: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) deadlines: ReadOnlyTable<deadline::Key, ()>,
    pub(super) user_sessions: ReadOnlyTable<(u128, u128), ()>,
    pub(super) create_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) messages: ReadOnlyTable<(u128, i64), &'static [u8]>,
    pub(super) message_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) submit_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) remote_sessions: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) open_turns: ReadOnlyTable<(u128, u32), &'static [u8]>,
    pub(super) waiting_turns: ReadOnlyTable<WaitingKey, ()>,
    pub(super) deletions: ReadOnlyTable<u128, ()>,
    pub(super) damaged: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) meta: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Tables {
    pub(super) fn open(txn: &ReadTransaction) -> ReadResult<Self> {
        Ok(Self {
            sessions: txn.open_table(SESSIONS)?,
            deadlines: txn.open_table(DEADLINES)?,
            user_sessions: txn.open_table(USER_SESSIONS)?,
            create_keys: txn.open_table(CREATE_KEYS)?,
            messages: txn.open_table(MESSAGES)?,
            message_keys: txn.open_table(MESSAGE_KEYS)?,
            submit_keys: txn.open_table(SUBMIT_KEYS)?,
            remote_sessions: txn.open_table(REMOTE_SESSIONS)?,
            open_turns: txn.open_table(OPEN_TURNS)?,
            waiting_turns: txn.open_table(WAITING_TURNS)?,
            deletions: txn.open_table(DELETIONS)?,
            damaged: txn.open_table(DAMAGED)?,
            meta: txn.open_table(META)?,
        })
    }

    pub(super) fn rows(&self) -> ReadResult<u64> {
        Ok(self.sessions.len()?
            + self.deadlines.len()?
            + self.user_sessions.len()?
            + self.create_keys.len()?
            + self.messages.len()?
            + self.message_keys.len()?
            + self.submit_keys.len()?
            + self.remote_sessions.len()?
            + self.open_turns.len()?
            + self.waiting_turns.len()?)
    }

    /// Returns a session, decoded or not.
    pub(super) fn session(
        &self,
        id: SessionId,
    ) -> ReadResult<Option<Result<Session, RecordError>>> {
        let bytes = self.sessions.get(u128::from(id))?;
        Ok(bytes.map(|bytes| record::decode_session(id, bytes.value())))
    }

    /// Whether there is a session, and `fits` holds for it. For an undecodable one, which is
    /// reported on its own, this is unknown and counts as true.
    pub(super) fn has_session(
        &self,
        id: SessionId,
        fits: impl FnOnce(&Session) -> bool,
    ) -> ReadResult<bool> {
        let session = self.session(id)?;
        Ok(session.is_some_and(|session| session.map_or(true, |session| fits(&session))))
    }

    /// Returns a message, decoded or not.
    pub(super) fn message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> ReadResult<Option<Result<Message, RecordError>>> {
        let bytes = self.messages.get((u128::from(session), at.0))?;
        Ok(bytes.map(|bytes| record::decode_message(session, at, bytes.value())))
    }

    pub(super) fn is_quarantined(
        &self,
        owner: SessionId,
        location: &RecordLocation,
    ) -> ReadResult<bool> {
        let place = location.to_string();
        let row = self.damaged.get((u128::from(owner), place.as_str()))?;
        Ok(row.is_some())
    }

    /// Whether a message of the session between two others is quarantined.
    pub(super) fn is_message_quarantined(
        &self,
        session: SessionId,
        after: Timestamp,
        before: Timestamp,
    ) -> ReadResult<bool> {
        let id = u128::from(session);
        for row in self.damaged.range::<(u128, &str)>(names_of(id))? {
            let (key, _) = row?;
            let at = RecordLocation::message_time(key.value().1);
            if at.is_some_and(|at| after < at && at < before) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
