//! Counting the active sessions of a user.

use redb::ReadableTable as _;

use super::Txn;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::store::error::{CommandError, CommandResult};
use crate::store::schema::counters::active_rows;

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
    /// Counts the active sessions of a user, up to a limit. The newest are read first, so that a
    /// user who has reached the limit costs little. For other users, the number of expired sessions
    /// that are read hardly exceeds the number of all active sessions.
    pub(crate) fn active_sessions(&self, user: UserId, limit: u64) -> CommandResult<Quota> {
        let user = u128::from(user);
        let mut quota = Quota::default();
        let mut inactive = 0_u64;
        let user_sessions = self.user_sessions.open()?;
        for row in user_sessions.range((user, 0)..=(user, u128::MAX))?.rev() {
            if quota.active == limit {
                break;
            }
            if self.count_if_active(row?.0.value().1, &mut quota)? {
                continue;
            }
            inactive += 1;
            if inactive < FEW || !inactive.is_power_of_two() {
                continue;
            }
            let expired = self.counters.expired;
            let Some(active) = active_rows(&self.deadlines, expired, self.now, inactive)? else {
                continue;
            };
            // Fewer sessions are active than were read already.
            quota = Quota::default();
            for row in active {
                let id = u128::from(row.session);
                if quota.active < limit && user_sessions.get((user, id))?.is_some() {
                    self.count_if_active(id, &mut quota)?;
                }
            }
            break;
        }
        Ok(quota)
    }

    /// Adds a session to the quota if it is active; returns whether it is.
    fn count_if_active(&self, id: u128, quota: &mut Quota) -> CommandResult<bool> {
        let session = match self.session(SessionId::from(id)) {
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
