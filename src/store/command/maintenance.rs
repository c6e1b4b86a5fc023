//! Recording verifications and backups.

use super::apply::Apply;
use crate::store::condition::{LastBackup, Verified};
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Records the result of the last complete verification, for later starts.
#[derive(Debug, Clone, Copy)]
pub struct RecordVerification(pub Verified);

/// Records the last backup.
#[derive(Debug, Clone, Copy)]
pub struct RecordBackup(pub LastBackup);

impl Apply for RecordVerification {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        txn.set_verification(self.0)
    }
}

impl Apply for RecordBackup {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<()> {
        txn.set_last_backup(self.0)
    }
}
