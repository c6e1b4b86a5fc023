//! The commands: each checks everything first and writes after.
//!
//! There is no way back in the middle of a transaction that others share, so a command that
//! refuses must not have written anything. What a rule decides is the domain's; the commands load,
//! ask it, and store.

mod activity;
mod create;
mod delete;
mod maintenance;
mod purge;
mod send;
mod submit;
mod turn;
mod upstream;

pub use activity::{Heartbeat, PatchTimeout, Renew};
pub(in crate::store) use create::is_remembered;
pub use create::{CreateKey, CreateSession, Created};
pub(in crate::store) use delete::erase;
pub use delete::{DeleteSession, Deleted, RemoteSession};
pub use maintenance::{RecordBackup, RecordVerification};
pub use purge::{AdvanceCounters, Purge, Purged};
pub use send::{SendMessage, Sent};
pub use submit::{SubmitReply, Submitted};
pub use turn::{BeginTurn, CloseTurn, Expire, ParkTurn};
pub use upstream::StoreRemoteSession;

use super::write::txn::{Result, Txn};
pub use crate::domain::turn::{Begun, Closed, Parked, Reply};

/// Something to do in one transaction.
pub trait Command: sealed::Apply + Send + 'static {}

impl<C: sealed::Apply + Send + 'static> Command for C {}

pub(super) mod sealed {
    use super::{Result, Txn};

    /// What the writer calls. Commands are made outside of the store, but written only in it.
    pub trait Apply {
        /// What the caller gets once the commit is on disk.
        type Output: Send + 'static;

        /// Checks, then writes.
        fn apply(self, txn: &mut Txn<'_>) -> Result<Self::Output>;
    }
}
