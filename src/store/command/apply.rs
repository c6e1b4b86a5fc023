//! The sealed part of a command, and what commands share.

use crate::domain::error::RuleViolation;
use crate::domain::key::IdempotencyKey;
use crate::store::error::{CommandError, CommandResult};
use crate::store::write::txn::Txn;

/// What the writer calls. Commands are created outside the store, but implemented only in it.
pub trait Apply {
    /// What the caller receives once the commit is on disk.
    type Output: Send + 'static;

    /// Checks, then writes.
    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Self::Output>;
}

/// Refuses a repeated key with other content.
pub(super) fn conflict(key: &IdempotencyKey) -> CommandError {
    let key = key.as_str().to_owned();
    RuleViolation::IdempotencyConflict { key }.into()
}
