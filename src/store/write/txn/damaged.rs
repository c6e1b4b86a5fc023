//! Records that cannot be decoded: met, taken out of their tables, and kept aside.

use std::ops::Bound;

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::{Result, Txn, whole};
use crate::domain::archive::Quarantined;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::store::quarantine;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    /// What was decoded; where it could not be, that is noted.
    pub(in crate::store) fn noted<T>(
        &self,
        owner: SessionId,
        spot: impl FnOnce() -> RecordLocation,
        decoded: std::result::Result<T, RecordError>,
    ) -> std::result::Result<T, RecordError> {
        decoded.inspect_err(|error| self.damage.note(owner, spot(), error))
    }

    /// Fails where a record is missing because it is set aside.
    pub(super) fn refuse_set_aside(&self, owner: SessionId, spot: &RecordLocation) -> Result<()> {
        // Nearly always there is nothing, and that costs nothing.
        if self.damaged.open()?.is_empty()? {
            return Ok(());
        }
        let place = spot.to_string();
        match self.damaged.open()?.get((owner.into(), place.as_str()))? {
            None => Ok(()),
            Some(_) => Err(RecordError::Quarantined.into()),
        }
    }

    /// The bytes of a record, whatever they are.
    pub(in crate::store) fn bytes_at(
        &self,
        owner: SessionId,
        spot: &RecordLocation,
    ) -> Result<Option<Vec<u8>>> {
        let id = u128::from(owner);
        let bytes = match spot {
            RecordLocation::Session => self.sessions.get(id)?,
            RecordLocation::Message(at) => self.messages.open()?.get((id, at.0))?,
            RecordLocation::Turn(position) => self.open_turns.open()?.get((id, *position))?,
            RecordLocation::Key(of, key) => self.keys(*of).open()?.get((id, key.as_str()))?,
            RecordLocation::Upstream => self.upstreams.open()?.get(id)?,
            RecordLocation::CreateKey(user, key) => self
                .create_keys
                .open()?
                .get((u128::from(*user), key.as_str()))?,
        };
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    /// Takes a record out of its table.
    pub(in crate::store) fn take_out(
        &mut self,
        owner: SessionId,
        spot: &RecordLocation,
    ) -> Result<()> {
        let id = u128::from(owner);
        self.dirty = true;
        match spot {
            RecordLocation::Session => drop(self.sessions.remove(id)?),
            RecordLocation::Message(at) => drop(self.messages.open_mut()?.remove((id, at.0))?),
            RecordLocation::Turn(position) => {
                drop(self.open_turns.open_mut()?.remove((id, *position))?);
            }
            RecordLocation::Key(of, key) => {
                drop(self.keys_mut(*of).open_mut()?.remove((id, key.as_str()))?);
            }
            RecordLocation::Upstream => drop(self.upstreams.open_mut()?.remove(id)?),
            RecordLocation::CreateKey(user, key) => {
                drop(
                    self.create_keys
                        .open_mut()?
                        .remove((u128::from(*user), key.as_str()))?,
                );
            }
        }
        Ok(())
    }

    /// Writes a record anew as it is: where it is damaged on the disk alone, that mends it.
    pub(in crate::store) fn rewrite(
        &mut self,
        owner: SessionId,
        spot: &RecordLocation,
        bytes: &[u8],
    ) -> Result<()> {
        let id = u128::from(owner);
        self.writes(bytes);
        match spot {
            RecordLocation::Session => drop(self.sessions.insert(id, bytes)?),
            RecordLocation::Message(at) => {
                drop(self.messages.open_mut()?.insert((id, at.0), bytes)?);
            }
            RecordLocation::Turn(position) => {
                drop(self.open_turns.open_mut()?.insert((id, *position), bytes)?);
            }
            RecordLocation::Key(of, key) => {
                let keys = self.keys_mut(*of).open_mut()?;
                drop(keys.insert((id, key.as_str()), bytes)?);
            }
            RecordLocation::Upstream => drop(self.upstreams.open_mut()?.insert(id, bytes)?),
            RecordLocation::CreateKey(user, key) => {
                let key = (u128::from(*user), key.as_str());
                drop(self.create_keys.open_mut()?.insert(key, bytes)?);
            }
        }
        Ok(())
    }

    /// Keeps a record aside.
    pub(in crate::store) fn put_aside(&mut self, aside: &Quarantined) -> Result<()> {
        let bytes = whole(record::encode_set_aside(aside))?;
        self.writes(&bytes);
        self.damaged
            .open_mut()?
            .insert((aside.owner.into(), aside.place.as_str()), bytes.as_slice())?;
        self.damaged_now.push(aside.owner);
        Ok(())
    }

    /// Notes that a record is not damaged after all.
    pub(in crate::store) fn is_sound_after_all(&mut self, owner: SessionId) -> Result<()> {
        let id = u128::from(owner);
        let rows = names_of(id);
        if self
            .damaged
            .open()?
            .range::<(u128, &str)>(rows)?
            .next()
            .is_none()
        {
            self.sound_now.push(owner);
        }
        Ok(())
    }

    /// The records that are set aside, from a place on, at most `limit`.
    pub(in crate::store) fn set_aside_after(
        &self,
        after: Option<&(SessionId, String)>,
        limit: usize,
    ) -> Result<Vec<Quarantined>> {
        let start = after.map_or(Bound::Unbounded, |(owner, place)| {
            Bound::Excluded((u128::from(*owner), place.as_str()))
        });
        let mut found = Vec::new();
        let rows = self
            .damaged
            .open()?
            .range::<(u128, &str)>((start, Bound::Unbounded))?;
        for row in rows.take(limit) {
            let (key, bytes) = row?;
            let (owner, place) = key.value();
            found.push(quarantine::of_row(owner.into(), place, bytes.value()));
        }
        Ok(found)
    }

    /// Forgets a record that was set aside.
    pub(in crate::store) fn drop_aside(&mut self, aside: &Quarantined) -> Result<()> {
        self.dirty = true;
        self.damaged
            .open_mut()?
            .remove((aside.owner.into(), aside.place.as_str()))?;
        self.is_sound_after_all(aside.owner)
    }

    /// Removes the keys that name a message.
    pub(in crate::store) fn remove_keys_of(
        &mut self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<()> {
        let id = u128::from(session);
        let names_it = |_: (u128, &str), bytes: &[u8]| record::decode_time(bytes) == Ok(at);
        let rows = names_of(id);
        for table in [&mut self.message_keys, &mut self.submit_keys] {
            for row in table
                .open_mut()?
                .extract_from_if::<(u128, &str), _>(rows, names_it)?
            {
                row?;
                self.dirty = true;
            }
        }
        Ok(())
    }

    /// The session's messages whose turns are open, oldest first; damaged ones are left out.
    pub(in crate::store) fn messages_with_open_turns(
        &self,
        session: SessionId,
    ) -> Result<Vec<Timestamp>> {
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
