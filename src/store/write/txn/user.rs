//! What is stored of a user.

use std::ops::Bound;

use redb::ReadableTable as _;

use super::Txn;
use crate::domain::id::{SessionId, UserId};
use crate::store::error::CommandResult;
use crate::store::quarantine::location::{RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::record;
use crate::store::schema::tables::names_of;

impl Txn<'_> {
    /// Returns the largest id of a user's sessions.
    pub(crate) fn newest_session_of(&self, user: UserId) -> CommandResult<Option<SessionId>> {
        let user = u128::from(user);
        let sessions = self.user_sessions.open()?;
        let last = sessions.range((user, 0)..=(user, u128::MAX))?.next_back();
        Ok(last
            .transpose()?
            .map(|row| SessionId::from(row.0.value().1)))
    }

    /// Returns up to `limit` of a user's sessions after one and up to another, oldest first.
    pub(crate) fn sessions_of(
        &self,
        user: UserId,
        after: Option<SessionId>,
        last: SessionId,
        limit: usize,
    ) -> CommandResult<Vec<SessionId>> {
        let user = u128::from(user);
        let start = after.map_or(Bound::Included((user, 0)), |id| {
            Bound::Excluded((user, id.into()))
        });
        let end = Bound::Included((user, last.into()));
        if after >= Some(last) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for row in self.user_sessions.open()?.range((start, end))?.take(limit) {
            found.push(SessionId::from(row?.0.value().1));
        }
        Ok(found)
    }

    /// Returns up to `limit` of the keys of a user's creates, after one, with the sessions that they
    /// created; none for a key whose record cannot be decoded.
    pub(crate) fn create_claims_of(
        &self,
        user: UserId,
        after: Option<&str>,
        limit: usize,
    ) -> CommandResult<Vec<(String, Option<SessionId>)>> {
        let (start, end) = names_of(user.into());
        let start = after.map_or(start, |key| Bound::Excluded((user.into(), key)));
        let keys = self.create_keys.open()?;
        let mut found = Vec::new();
        for row in keys.range::<(u128, &str)>((start, end))?.take(limit) {
            let (key, bytes) = row?;
            let claim = record::decode_claim(bytes.value()).ok();
            let session = claim.map(|claim| claim.session_id);
            found.push((key.value().1.to_owned(), session));
        }
        Ok(found)
    }

    /// Removes the key of a create, which need not be decodable.
    pub(crate) fn remove_create_key(&mut self, user: UserId, key: &str) -> CommandResult<()> {
        self.effects.dirty = true;
        self.create_keys.open_mut()?.remove((user.into(), key))?;
        Ok(())
    }

    /// Removes up to `limit` quarantined keys of a user's creates; returns how many there were.
    pub(crate) fn remove_quarantined_keys_of(
        &mut self,
        user: UserId,
        limit: usize,
    ) -> CommandResult<usize> {
        let prefix = RecordLocation::create_keys_of(user);
        let owner = u128::from(UNKNOWN_OWNER);
        let mut found = Vec::new();
        let rows = (Bound::Included((owner, prefix.as_str())), names_of(owner).1);
        for row in self
            .damaged
            .open()?
            .range::<(u128, &str)>(rows)?
            .take(limit)
        {
            let location = row?.0.value().1.to_owned();
            if !location.starts_with(&prefix) {
                break;
            }
            found.push(location);
        }
        for location in &found {
            let key = (owner, location.as_str());
            self.damaged.open_mut()?.remove(key)?;
        }
        if !found.is_empty() {
            self.effects.dirty = true;
            self.note_sound(UNKNOWN_OWNER)?;
        }
        Ok(found.len())
    }

    /// Returns the last session whose messages are to be removed.
    pub(crate) fn last_deletion(&self) -> CommandResult<Option<SessionId>> {
        let last = self.deletions.open()?.last()?;
        Ok(last.map(|(id, _)| SessionId::from(id.value())))
    }
}
