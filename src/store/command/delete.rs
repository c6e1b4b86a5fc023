//! Deleting a session.

use super::apply::Apply;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::session::Session;
use crate::domain::waiting::ClosedReason;
use crate::events::Event;
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine;
use crate::store::quarantine::location::RecordLocation;
use crate::store::write::txn::Txn;

/// The most messages and keys that a deletion removes at once; the rest is removed in slices.
const MAX_ROWS: usize = 500;

/// A session's rows beside its messages, their keys and its open turns.
pub(super) const OWN_ROWS: usize = 5;

/// Deletes a session, active or expired: from then on it is not found.
#[derive(Debug)]
pub struct DeleteSession(pub SessionId);

/// A session of another server that belongs to one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSession {
    /// Our agent, whose backend knows the server.
    pub agent_id: AgentId,
    /// The id of the session on that server.
    pub name: String,
}

/// The result of a deletion.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whether messages are left to be removed in slices.
    pub has_more: bool,
    /// The remote session that belonged to it.
    pub remote: Option<RemoteSession>,
}

impl Apply for DeleteSession {
    type Output = Deleted;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Deleted> {
        let Self(id) = self;
        let session = match txn.retained_session(id) {
            Ok(session) => Some(session),
            Err(CommandError::Record(_)) => {
                // A session that cannot be decoded can still be deleted, with its index rows.
                quarantine::quarantine_records(txn, &[(id, RecordLocation::Session)])?;
                None
            }
            Err(error) => return Err(error),
        };
        let erased = erase(txn, id, session.as_ref(), ClosedReason::Deleted, MAX_ROWS)?;
        txn.publish(id, Event::Deleted);
        Ok(Deleted {
            has_more: !erased.is_done,
            remote: erased.remote,
        })
    }
}

/// The result of [`erase`].
pub(crate) struct Erased {
    /// The number of removed rows, including those of turns.
    pub(crate) rows: usize,
    /// The number of removed open turns.
    pub(crate) turns: usize,
    /// The remote session that belonged to the session.
    pub(crate) remote: Option<RemoteSession>,
    /// Whether nothing of the session is left.
    is_done: bool,
}

/// Removes all that belongs to a session, but at most about `budget` rows of its messages now.
/// `session` is none if its record is lost and its index rows are gone already.
pub(crate) fn erase(
    txn: &mut Txn<'_>,
    id: SessionId,
    session: Option<&Session>,
    reason: ClosedReason,
    budget: usize,
) -> CommandResult<Erased> {
    // Their agent and messages must still be stored.
    let turns = txn.remove_turns(id, reason)?;
    let (mut rows, mut remote) = (0, None);
    if let Some(session) = session {
        let agent_id = session.agent_id;
        rows = OWN_ROWS;
        remote = txn
            .remove_session(session)?
            .map(|name| RemoteSession { agent_id, name });
    }
    if let Some(session) = session.filter(|_| turns > 0) {
        let deleted = (session.agent_id, turns as u64);
        txn.effects.turns_deleted.push(deleted);
    }
    let removed = txn.remove_messages(id, budget)?;
    let is_done = removed < budget;
    if !is_done {
        txn.defer_deletion(id)?;
    }
    Ok(Erased {
        rows: rows + turns + removed,
        turns,
        remote,
        is_done,
    })
}
