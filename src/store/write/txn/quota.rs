//! How many active sessions a user has.

use redb::ReadableTable as _;

use super::{Result, Txn};
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::store::error::CommandError;
use crate::store::schema::counters::active_rows;
use crate::store::schema::deadline::Row;

/// So many sessions are read without asking whether there is a shorter way.
const FEW: u64 = 64;

/// What a user has of the sessions that a user may have.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Quota {
    pub(in crate::store) active: u64,
    /// When the first of them expires.
    pub(in crate::store) next_expiry: Timestamp,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            active: 0,
            next_expiry: Timestamp::MAX,
        }
    }
}

impl Txn<'_> {
    /// The active sessions of a user, counted up to a limit. The newest are looked at first, so
    /// that a user who has reached the limit costs little; of one who has not, hardly more expired
    /// ones are read than sessions are active in all.
    pub(in crate::store) fn active_sessions(&self, user: UserId, limit: u64) -> Result<Quota> {
        let number = u128::from(user);
        let mut quota = Quota::default();
        let mut in_vain = 0_u64;
        let rows = self.user_sessions.open()?;
        for row in rows.range((number, 0)..=(number, u128::MAX))?.rev() {
            if quota.active == limit {
                break;
            }
            if self.counts(row?.0.value().1.into(), &mut quota)? {
                continue;
            }
            in_vain += 1;
            if in_vain < FEW || !in_vain.is_power_of_two() {
                continue;
            }
            let active = active_rows(&self.deadlines, self.tallies.expired, self.now, in_vain)?;
            if let Some(active) = active {
                return self.active_among(&active, user, limit);
            }
        }
        Ok(quota)
    }

    /// The same, of sessions among which are all that are active.
    fn active_among(&self, rows: &[Row], user: UserId, limit: u64) -> Result<Quota> {
        let user_sessions = self.user_sessions.open()?;
        let mut quota = Quota::default();
        for row in rows {
            if quota.active == limit {
                break;
            }
            let key = (user.into(), row.session.into());
            if user_sessions.get(key)?.is_some() {
                self.counts(row.session, &mut quota)?;
            }
        }
        Ok(quota)
    }

    /// Adds a session to those that are active, if it is.
    fn counts(&self, id: SessionId, quota: &mut Quota) -> Result<bool> {
        let session = match self.session(id) {
            Ok(session) => session,
            // A damaged one is nobody's to use.
            Err(CommandError::Record(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let expires_at = session.map(|session| session.expires_at);
        let Some(expires_at) = expires_at.filter(|expires_at| *expires_at > self.now) else {
            return Ok(false);
        };
        quota.active += 1;
        quota.next_expiry = quota.next_expiry.min(expires_at);
        Ok(true)
    }
}
