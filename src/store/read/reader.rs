//! Reading records from a snapshot.

use redb::{ReadOnlyTable, ReadableTableMetadata as _, UntypedTableHandle};

use super::snapshot::Snapshot;
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::store::error::{ReadError, ReadResult};
use crate::store::quarantine::location::RecordLocation;
use crate::store::quarantine::registry::Quarantine;
use crate::store::schema::counters::Counters;
use crate::store::schema::deadline;
use crate::store::schema::record::{self, Counter, RecordError};
use crate::store::schema::tables::{DAMAGED, DEADLINES, META, REMOTE_SESSIONS};

/// A view of one snapshot. It lives for one closure and never crosses an await.
pub(crate) struct Reader<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) quarantine: &'a Quarantine,
}

impl Reader<'_> {
    /// Returns a session, active or not.
    pub(crate) fn session(&self, id: SessionId) -> ReadResult<Option<Session>> {
        let Some(bytes) = self.snapshot.sessions.get(u128::from(id))? else {
            if self.is_session_quarantined(id)? {
                return Err(RecordError::Quarantined.into());
            }
            return Ok(None);
        };
        Ok(Some(self.decode_session(id, bytes.value())?))
    }

    /// Like [`Self::session`], but returns none for a damaged session.
    pub(crate) fn undamaged_session(&self, id: SessionId) -> ReadResult<Option<Session>> {
        undamaged(self.session(id))
    }

    /// Decodes a session, and notes damage.
    pub(crate) fn decode_session(
        &self,
        id: SessionId,
        bytes: &[u8],
    ) -> Result<Session, RecordError> {
        let session = record::decode_session(id, bytes);
        self.quarantine
            .inspect(id, || RecordLocation::Session, session)
    }

    /// Whether a session's own record is quarantined.
    pub(crate) fn is_session_quarantined(&self, id: SessionId) -> ReadResult<bool> {
        let place = RecordLocation::Session.to_string();
        let damaged = self.snapshot.txn.open_table(DAMAGED)?;
        Ok(damaged.get((u128::from(id), place.as_str()))?.is_some())
    }

    /// Returns the message of a session that was stored at a time.
    pub(crate) fn message(&self, session: SessionId, at: Timestamp) -> ReadResult<Option<Message>> {
        let bytes = self.snapshot.messages.get((session.into(), at.0))?;
        let message = bytes.map(|bytes| self.decode_message(session, at, bytes.value()));
        Ok(message.transpose()?)
    }

    /// Like [`Self::message`], but returns none for a damaged message.
    pub(crate) fn undamaged_message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> ReadResult<Option<Message>> {
        undamaged(self.message(session, at))
    }

    /// Decodes a message, and notes damage.
    pub(crate) fn decode_message(
        &self,
        session: SessionId,
        at: Timestamp,
        bytes: &[u8],
    ) -> Result<Message, RecordError> {
        let message = self.borrow_message(session, at, bytes)?;
        Ok(message.into_owned())
    }

    /// Like [`Self::decode_message`], but the texts borrow from the bytes.
    pub(crate) fn borrow_message<'b>(
        &self,
        session: SessionId,
        at: Timestamp,
        bytes: &'b [u8],
    ) -> Result<Message<&'b str>, RecordError> {
        let message = record::borrow_message(session, at, bytes);
        self.quarantine
            .inspect(session, || RecordLocation::Message(at), message)
    }

    /// Returns the open turns of a session in the order of execution, except damaged ones.
    pub(crate) fn open_turns(
        &self,
        session: SessionId,
    ) -> ReadResult<impl Iterator<Item = ReadResult<OpenTurn>>> {
        let id = u128::from(session);
        let rows = self
            .snapshot
            .open_turns()?
            .range((id, 0)..=(id, u32::MAX))?;
        Ok(rows.filter_map(move |row| match row {
            Ok((key, bytes)) => {
                let position = key.value().1;
                let turn = record::decode_turn(session, position, bytes.value());
                let location = || RecordLocation::Turn(position);
                let turn = self.quarantine.inspect(session, location, turn);
                turn.ok().map(Ok)
            }
            Err(error) => Some(Err(error.into())),
        }))
    }

    /// Returns the first open turn of a session.
    pub(crate) fn next_turn(&self, session: SessionId) -> ReadResult<Option<OpenTurn>> {
        self.open_turns(session)?.next().transpose()
    }

    /// Returns the id of a session's remote session; none if it is damaged, so that a new one is
    /// created.
    pub(crate) fn remote_session(&self, session: SessionId) -> ReadResult<Option<String>> {
        let table = self.snapshot.txn.open_table(REMOTE_SESSIONS)?;
        let Some(bytes) = table.get(u128::from(session))? else {
            return Ok(None);
        };
        let id = record::decode_remote_session(bytes.value());
        let location = || RecordLocation::RemoteSession;
        Ok(self.quarantine.inspect(session, location, id).ok())
    }

    pub(crate) fn deadlines(&self) -> ReadResult<ReadOnlyTable<deadline::Key, ()>> {
        Ok(self.snapshot.txn.open_table(DEADLINES)?)
    }

    pub(crate) fn counters(&self) -> ReadResult<Counters> {
        Counters::load(&self.snapshot.txn.open_table(META)?)
    }

    /// Returns a time and a number of the table `meta`; none if they are missing or damaged.
    pub(crate) fn meta_counter(&self, name: &str) -> ReadResult<Option<Counter>> {
        let table = self.snapshot.txn.open_table(META)?;
        let bytes = table.get(name)?;
        Ok(bytes.and_then(|bytes| record::decode_counter(bytes.value()).ok()))
    }

    /// Returns how many bytes the pages of a table take. Walks through all of them.
    pub(crate) fn table_bytes(&self, table: UntypedTableHandle) -> ReadResult<u64> {
        let stats = self.snapshot.txn.open_untyped_table(table)?.stats()?;
        Ok(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
    }
}

/// Returns none for a damaged record.
fn undamaged<T>(read: ReadResult<Option<T>>) -> ReadResult<Option<T>> {
    match read {
        Err(ReadError::Record(_)) => Ok(None),
        other => other,
    }
}
