//! The tables that are checked.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTableMetadata as _};

use super::Result;
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::deadline;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS,
    SUBMIT_KEYS, UPSTREAMS, USER_SESSIONS, names_of,
};

pub(super) struct Tables {
    pub(super) sessions: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) deadlines: ReadOnlyTable<deadline::Key, ()>,
    pub(super) user_sessions: ReadOnlyTable<(u128, u128), ()>,
    pub(super) create_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) messages: ReadOnlyTable<(u128, i64), &'static [u8]>,
    pub(super) message_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) submit_keys: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) upstreams: ReadOnlyTable<u128, &'static [u8]>,
    pub(super) open_turns: ReadOnlyTable<(u128, u32), &'static [u8]>,
    pub(super) deletions: ReadOnlyTable<u128, ()>,
    pub(super) damaged: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    pub(super) meta: ReadOnlyTable<&'static str, &'static [u8]>,
}

impl Tables {
    pub(super) fn open(txn: &ReadTransaction) -> Result<Self> {
        Ok(Self {
            sessions: txn.open_table(SESSIONS)?,
            deadlines: txn.open_table(DEADLINES)?,
            user_sessions: txn.open_table(USER_SESSIONS)?,
            create_keys: txn.open_table(CREATE_KEYS)?,
            messages: txn.open_table(MESSAGES)?,
            message_keys: txn.open_table(MESSAGE_KEYS)?,
            submit_keys: txn.open_table(SUBMIT_KEYS)?,
            upstreams: txn.open_table(UPSTREAMS)?,
            open_turns: txn.open_table(OPEN_TURNS)?,
            deletions: txn.open_table(DELETIONS)?,
            damaged: txn.open_table(DAMAGED)?,
            meta: txn.open_table(META)?,
        })
    }

    pub(super) fn rows(&self) -> Result<u64> {
        Ok(self.sessions.len()?
            + self.deadlines.len()?
            + self.user_sessions.len()?
            + self.create_keys.len()?
            + self.messages.len()?
            + self.message_keys.len()?
            + self.submit_keys.len()?
            + self.upstreams.len()?
            + self.open_turns.len()?)
    }

    /// A session's record, whether it can be decoded or not.
    pub(super) fn session(
        &self,
        id: SessionId,
    ) -> Result<Option<std::result::Result<Session, RecordError>>> {
        let bytes = self.sessions.get(u128::from(id))?;
        Ok(bytes.map(|bytes| record::decode_session(id, bytes.value())))
    }

    pub(super) fn message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<std::result::Result<Message, RecordError>>> {
        let bytes = self.messages.get((u128::from(session), at.0))?;
        Ok(bytes.map(|bytes| record::decode_message(session, at, bytes.value())))
    }

    pub(super) fn is_set_aside(&self, owner: SessionId, spot: &RecordLocation) -> Result<bool> {
        let place = spot.to_string();
        let row = self.damaged.get((u128::from(owner), place.as_str()))?;
        Ok(row.is_some())
    }

    /// Whether a message of the session between two others is set aside.
    pub(super) fn is_message_set_aside(
        &self,
        session: SessionId,
        after: Timestamp,
        before: Timestamp,
    ) -> Result<bool> {
        let id = u128::from(session);
        for row in self.damaged.range::<(u128, &str)>(names_of(id))? {
            let (key, _) = row?;
            let at = RecordLocation::message_of(key.value().1);
            if at.is_some_and(|at| after < at && at < before) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
