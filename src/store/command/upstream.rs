//! What another server knows a session by.

use super::sealed::Apply;
use crate::domain::id::SessionId;
use crate::store::write::txn::{Result, Txn};

/// Keeps the name that the server behind a session's agent has for it. It goes with the session.
#[derive(Debug)]
pub struct StoreRemoteSession {
    /// The session.
    pub session_id: SessionId,
    /// Its name there.
    pub name: String,
}

impl Apply for StoreRemoteSession {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> Result<()> {
        // It may have been deleted meanwhile.
        if txn.session(self.session_id)?.is_some() {
            txn.put_upstream(self.session_id, &self.name)?;
        }
        Ok(())
    }
}
