//! Deleting a session.

use super::sealed::Apply;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::session::Session;
use crate::events::Event;
use crate::store::error::CommandError;
use crate::store::quarantine;
use crate::store::quarantine::damage::RecordLocation;
use crate::store::write::txn::{Result, Txn};

/// How many rows a deletion removes at once; the rest goes in slices.
const AT_ONCE: usize = 500;

/// Erases a session, active or expired: it is not found from then on.
#[derive(Debug)]
pub struct DeleteSession(pub SessionId);

/// A session that another server has for one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSession {
    /// The agent of ours, whose backend knows the server.
    pub agent_id: AgentId,
    /// Its name there.
    pub name: String,
}

/// What a deletion did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whether messages are left to be removed in slices.
    pub has_more: bool,
    /// The session that the server behind the agent had for it.
    pub remote: Option<RemoteSession>,
}

impl Apply for DeleteSession {
    type Output = Deleted;

    fn apply(self, txn: &mut Txn<'_>) -> Result<Deleted> {
        let Self(id) = self;
        let session = match txn.kept_session(id) {
            Ok(session) => Some(session),
            // What cannot be read can be erased all the same.
            Err(CommandError::Record(_)) => None,
            Err(error) => return Err(error),
        };
        if session.is_none() {
            // So that its rows in the indexes go too.
            quarantine::set_aside(txn, &[(id, RecordLocation::Session)])?;
        }
        let erased = erase(txn, id, session.as_ref(), AT_ONCE)?;
        txn.publish(id, Event::Deleted);
        Ok(Deleted {
            has_more: !erased.is_done,
            remote: erased.remote,
        })
    }
}

/// How many rows a session has beside its messages, their keys, and its open turns.
const OWN_ROWS: usize = 5;

/// What an erasure did.
pub(in crate::store) struct Erased {
    /// How many rows went, those of the turns among them.
    pub(in crate::store) rows: usize,
    /// How many open turns went.
    pub(in crate::store) turns: usize,
    /// The session that the server behind the agent had for it.
    pub(in crate::store) remote: Option<RemoteSession>,
    /// Whether nothing of the session is left.
    is_done: bool,
}

/// Removes all that belongs to a session, at most about `budget` rows of its messages now. Where
/// there is no session, its own record is lost and its index rows are gone already.
pub(in crate::store) fn erase(
    txn: &mut Txn<'_>,
    id: SessionId,
    session: Option<&Session>,
    budget: usize,
) -> Result<Erased> {
    let (own, remote) = match session {
        None => (0, None),
        Some(session) => (OWN_ROWS, remove_own_rows(txn, session)?),
    };
    let turns = txn.remove_turns(id)?;
    if let Some(session) = session.filter(|_| turns > 0) {
        txn.turns_deleted.push((session.agent_id, turns as u64));
    }
    let removed = txn.remove_messages(id, budget)?;
    let is_done = removed < budget;
    if !is_done {
        txn.defer_deletion(id)?;
    }
    Ok(Erased {
        rows: own + turns + removed,
        turns,
        remote,
        is_done,
    })
}

fn remove_own_rows(txn: &mut Txn<'_>, session: &Session) -> Result<Option<RemoteSession>> {
    let agent_id = session.agent_id;
    let name = txn.remove_session(session)?;
    Ok(name.map(|name| RemoteSession { agent_id, name }))
}
