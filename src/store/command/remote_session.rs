//! Storing the id of a remote session.

use super::apply::Apply;
use crate::domain::id::SessionId;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Stores the id that the server behind a session's agent has for it. It is deleted with the
/// session.
#[derive(Debug)]
pub struct StoreRemoteSession {
    /// The session.
    pub session_id: SessionId,
    /// The id of the remote session.
    pub name: String,
}

impl Apply for StoreRemoteSession {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        // The session may have been deleted meanwhile.
        if txn.session(self.session_id)?.is_some() {
            txn.put_remote_session(self.session_id, &self.name)?;
        }
        Ok(())
    }
}
