//! Counting the active sessions of a user.

use redb::ReadableTable as _;

use super::Txn;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, CommandResult};
use crate::store::schema::counters::active_rows;
use crate::store::schema::deadline::Row;

/// So many inactive sessions are read before a shorter way is considered.
const FEW: u64 = 64;

/// The active sessions of a user, up to the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) active: u64,
    /// When the first of them expires.
    pub(crate) next_expiry: Timestamp,
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
    /// Counts the active sessions of a user, up to a limit. The newest are read first, so that a user
    /// who has reached the limit costs little. For other users, the number of expired sessions that
    /// are read hardly exceeds the number of all active sessions.
    pub(crate) fn active_sessions(&self, user: UserId, limit: u64) -> CommandResult<Quota> {
        let number = u128::from(user);
        let mut quota = Quota::default();
        let mut inactive = 0_u64;
        let rows = self.user_sessions.open()?;
        for row in rows.range((number, 0)..=(number, u128::MAX))?.rev() {
            if quota.active == limit {
                break;
            }
            if self.count_if_active(row?.0.value().1.into(), &mut quota)? {
                continue;
            }
            inactive += 1;
            if inactive < FEW || !inactive.is_power_of_two() {
                continue;
            }
            let active = active_rows(&self.deadlines, self.counters.expired, self.now, inactive)?;
            if let Some(active) = active {
                return self.active_among(&active, user, limit);
            }
        }
        Ok(quota)
    }

    /// Counts the sessions of a user among rows that include all active sessions.
    fn active_among(&self, rows: &[Row], user: UserId, limit: u64) -> CommandResult<Quota> {
        let user_sessions = self.user_sessions.open()?;
        let mut quota = Quota::default();
        for row in rows {
            if quota.active == limit {
                break;
            }
            let key = (user.into(), row.session.into());
            if user_sessions.get(key)?.is_some() {
                self.count_if_active(row.session, &mut quota)?;
            }
        }
        Ok(quota)
    }

    /// Adds a session to the quota if it is active; returns whether it is.
    fn count_if_active(&self, id: SessionId, quota: &mut Quota) -> CommandResult<bool> {
        let session = match self.session(id) {
            Ok(session) => session,
            // A damaged session cannot be used.
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
