//! The sealed part of a command.

use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// What the writer calls. Commands are created outside the store, but implemented only in it.
pub trait Apply {
    /// What the caller receives once the commit is on disk.
    type Output: Send + 'static;

    /// Checks, then writes.
    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Self::Output>;
}
