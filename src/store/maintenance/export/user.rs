//! Visits the sessions of a user.

use std::ops::Bound;

use super::cursor::ExportCursor;
use super::seek::{guarded, is_local};
use super::slice::Slice;
use crate::domain::id::{SessionId, UserId};
use crate::store::error::ReadResult;
use crate::store::quarantine;
use crate::store::quarantine::location::RecordLocation;
use crate::store::read::reader::Reader;
use crate::store::schema::record;
use crate::store::schema::tables::USER_SESSIONS;

impl Slice<'_> {
    /// Adds the own items of the user's next session and begins its messages: first the sessions in
    /// the index, then those whose records are quarantined.
    pub(super) fn next_session_of(
        &mut self,
        user: UserId,
        cursor: &mut ExportCursor,
    ) -> ReadResult<()> {
        let (reader, after) = (self.reader, cursor.after);
        if cursor.is_in_quarantine {
            return self.next_quarantined_of(user, cursor);
        }
        match guarded(|| reader.session_of_user(user, after)) {
            Ok(Some(id)) => return self.begin_session(id, cursor),
            Ok(None) => {}
            Err(error) if is_local(&error) => {
                let position = after.map_or_else(String::new, |id| format!(" after {id}"));
                self.lost
                    .push(format!("sessions of user {user}{position}: {error}"));
            }
            Err(error) => return Err(error),
        }
        cursor.is_in_quarantine = true;
        cursor.after = None;
        Ok(())
    }

    fn next_quarantined_of(&mut self, user: UserId, cursor: &mut ExportCursor) -> ReadResult<()> {
        let reader = self.reader;
        let from = cursor
            .after
            .map_or(Some(0), |id| u128::from(id).checked_add(1));
        let next = guarded(|| {
            let owner = match from {
                Some(from) => reader.first_quarantined(from)?.map(SessionId::from),
                None => None,
            };
            let is_theirs = |owner| reader.is_quarantined_session_of(user, owner);
            let is_theirs = owner.map(is_theirs).transpose()?;
            Ok(owner.zip(is_theirs))
        });
        match next {
            Ok(Some((owner, true))) => return self.begin_session(owner, cursor),
            Ok(Some((owner, false))) => {
                cursor.after = Some(owner);
                self.skipped += 1;
            }
            Ok(None) => cursor.is_done = true,
            Err(error) if is_local(&error) => {
                self.lost
                    .push(format!("quarantined sessions of user {user}: {error}"));
                cursor.is_done = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Returns a user's first session after one.
    fn session_of_user(
        &self,
        user: UserId,
        after: Option<SessionId>,
    ) -> ReadResult<Option<SessionId>> {
        let user = u128::from(user);
        if after == Some(SessionId::from(u128::MAX)) {
            return Ok(None);
        }
        let start = after.map_or(Bound::Included((user, 0)), |id| {
            Bound::Excluded((user, u128::from(id)))
        });
        let end = Bound::Included((user, u128::MAX));
        let sessions = self.snapshot.txn.open_table(USER_SESSIONS)?;
        let row = sessions.range((start, end))?.next();
        Ok(row.transpose()?.map(|row| SessionId::from(row.0.value().1)))
    }

    /// Returns whether the quarantined record of a session names this user.
    fn is_quarantined_session_of(&self, user: UserId, owner: SessionId) -> ReadResult<bool> {
        let quarantined = self.quarantined_at(owner, &RecordLocation::Session)?;
        Ok(quarantined.is_some_and(|row| {
            quarantine::is_session(&row) && record::user_of_session(&row.bytes) == Some(user)
        }))
    }
}
