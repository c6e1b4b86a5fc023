//! Deleting a session.

use super::sealed::Apply;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::events::Event;
use crate::store::txn::{Result, Txn};

/// How many rows a deletion removes at once; the rest goes in slices.
const AT_ONCE: usize = 500;

/// Erases a session, active or expired: it is not found from then on.
#[derive(Debug)]
pub struct DeleteSession(pub SessionId);

impl Apply for DeleteSession {
    /// Whether messages are left to be removed in slices.
    type Output = bool;

    fn apply(self, txn: &mut Txn<'_>) -> Result<bool> {
        let session = txn.kept_session(self.0)?;
        let (_, is_done) = erase(txn, &session, AT_ONCE)?;
        txn.publish(session.id, Event::Deleted);
        Ok(!is_done)
    }
}

/// Removes all that belongs to a session, at most about `budget` rows of its messages now.
///
/// Returns how many rows went, and whether that was all of them.
pub(super) fn erase(txn: &mut Txn<'_>, session: &Session, budget: usize) -> Result<(usize, bool)> {
    txn.remove_session(session)?;
    let turns = txn.remove_turns(session.id)?;
    let removed = txn.remove_messages(session.id, budget)?;
    let is_done = removed < budget;
    if !is_done {
        txn.defer_deletion(session.id)?;
    }
    Ok((1 + turns + removed, is_done))
}
