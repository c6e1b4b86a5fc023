//! Records of any kind by their locations, and the table of quarantined records.

use std::borrow::Borrow;
use std::ops::Bound;

use redb::{Key, ReadableTable as _, ReadableTableMetadata as _, Table};

use super::{Bytes, Txn, internal};
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::store::error::CommandResult;
use crate::store::quarantine;
use crate::store::quarantine::location::RecordLocation;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    /// Fails if a record is missing because it is quarantined.
    pub(super) fn require_not_quarantined(
        &self,
        owner: SessionId,
        location: &RecordLocation,
    ) -> CommandResult<()> {
        // The table is nearly always empty, and then this costs nothing.
        if self.damaged.open()?.is_empty()? {
            return Ok(());
        }
        let place = location.to_string();
        match self.damaged.open()?.get((owner.into(), place.as_str()))? {
            None => Ok(()),
            Some(_) => Err(RecordError::Quarantined.into()),
        }
    }

    /// Returns the bytes of a record, valid or not.
    pub(crate) fn record_bytes(
        &self,
        owner: SessionId,
        location: &RecordLocation,
    ) -> CommandResult<Option<Vec<u8>>> {
        let id = u128::from(owner);
        let bytes = match location {
            RecordLocation::Session => self.sessions.get(id)?,
            RecordLocation::Message(at) => self.messages.open()?.get((id, at.0))?,
            RecordLocation::Turn(position) => self.open_turns.open()?.get((id, *position))?,
            RecordLocation::Key(kind, key) => self.keys(*kind).open()?.get((id, key.as_str()))?,
            RecordLocation::RemoteSession => self.remote_sessions.open()?.get(id)?,
            RecordLocation::CreateKey(user, key) => {
                let key = (u128::from(*user), key.as_str());
                self.create_keys.open()?.get(key)?
            }
        };
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    /// Removes a record from its table.
    pub(crate) fn remove_record(
        &mut self,
        owner: SessionId,
        location: &RecordLocation,
    ) -> CommandResult<()> {
        self.effects.dirty = true;
        self.replace_record(owner, location, None)
    }

    /// Writes a record.
    pub(crate) fn put_record(
        &mut self,
        owner: SessionId,
        location: &RecordLocation,
        bytes: &[u8],
    ) -> CommandResult<()> {
        self.count_write(bytes);
        self.replace_record(owner, location, Some(bytes))
    }

    fn replace_record(
        &mut self,
        owner: SessionId,
        location: &RecordLocation,
        bytes: Option<&[u8]>,
    ) -> CommandResult<()> {
        let id = u128::from(owner);
        match location {
            RecordLocation::Session => replace(&mut self.sessions, id, bytes),
            RecordLocation::Message(at) => replace(self.messages.open_mut()?, (id, at.0), bytes),
            RecordLocation::Turn(position) => {
                replace(self.open_turns.open_mut()?, (id, *position), bytes)
            }
            RecordLocation::Key(kind, key) => {
                replace(self.keys_mut(*kind).open_mut()?, (id, key.as_str()), bytes)
            }
            RecordLocation::RemoteSession => replace(self.remote_sessions.open_mut()?, id, bytes),
            RecordLocation::CreateKey(user, key) => {
                let key = (u128::from(*user), key.as_str());
                replace(self.create_keys.open_mut()?, key, bytes)
            }
        }
    }

    /// Adds a record to the table of quarantined ones.
    pub(crate) fn put_quarantined(&mut self, quarantined: &Quarantined) -> CommandResult<()> {
        let bytes = internal(record::encode_quarantined(quarantined))?;
        self.count_write(&bytes);
        let key = (quarantined.owner.into(), quarantined.location.as_str());
        self.damaged.open_mut()?.insert(key, bytes.as_slice())?;
        self.effects.damaged.push(quarantined.owner);
        Ok(())
    }

    /// Records that a session's record is not damaged after all, or no longer quarantined.
    pub(crate) fn note_sound(&mut self, owner: SessionId) -> CommandResult<()> {
        let rows = names_of(owner.into());
        let mut left = self.damaged.open()?.range::<(u128, &str)>(rows)?;
        if left.next().is_none() {
            self.effects.sound.push(owner);
        }
        Ok(())
    }

    /// Returns up to `limit` quarantined records after a key of their table.
    pub(crate) fn quarantined_after(
        &self,
        after: Option<&(SessionId, String)>,
        limit: usize,
    ) -> CommandResult<Vec<Quarantined>> {
        let start = after.map_or(Bound::Unbounded, |(owner, place)| {
            Bound::Excluded((u128::from(*owner), place.as_str()))
        });
        let table = self.damaged.open()?;
        let mut found = Vec::new();
        for row in table
            .range::<(u128, &str)>((start, Bound::Unbounded))?
            .take(limit)
        {
            let (key, bytes) = row?;
            let (owner, location) = key.value();
            found.push(quarantine::quarantined_row(
                owner.into(),
                location,
                bytes.value(),
            ));
        }
        Ok(found)
    }

    /// Deletes a quarantined record.
    pub(crate) fn remove_quarantined(&mut self, quarantined: &Quarantined) -> CommandResult<()> {
        self.effects.dirty = true;
        let key = (quarantined.owner.into(), quarantined.location.as_str());
        self.damaged.open_mut()?.remove(key)?;
        self.note_sound(quarantined.owner)
    }

    /// Removes the keys under which a message was stored.
    pub(crate) fn remove_keys_of(
        &mut self,
        session: SessionId,
        at: Timestamp,
    ) -> CommandResult<()> {
        let names_message =
            |_: (u128, &str), bytes: &[u8]| record::decode_key_time(bytes) == Ok(at);
        let rows = names_of(session.into());
        for table in [&mut self.message_keys, &mut self.submit_keys] {
            let table = table.open_mut()?;
            for row in table.extract_from_if::<(u128, &str), _>(rows, names_message)? {
                row?;
                self.effects.dirty = true;
            }
        }
        Ok(())
    }

    /// Returns the session's messages whose turns are open, oldest first, except damaged ones.
    pub(crate) fn messages_with_open_turns(
        &self,
        session: SessionId,
    ) -> CommandResult<Vec<Timestamp>> {
        let id = u128::from(session);
        let mut open = Vec::new();
        for row in self
            .messages
            .open()?
            .range((id, i64::MIN)..=(id, i64::MAX))?
        {
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            let message = record::decode_message(session, at, bytes.value());
            if message.is_ok_and(|message| message.has_open_turn()) {
                open.push(at);
            }
        }
        Ok(open)
    }
}

fn replace<'k, K: Key + 'static>(
    table: &mut Table<'_, K, Bytes>,
    key: impl Borrow<K::SelfType<'k>>,
    bytes: Option<&[u8]>,
) -> CommandResult<()> {
    match bytes {
        Some(bytes) => drop(table.insert(key, bytes)?),
        None => drop(table.remove(key)?),
    }
    Ok(())
}
