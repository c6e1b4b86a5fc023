//! What is kept of the care of the file.

use super::sealed::Apply;
use crate::store::condition::{LastBackup, Verified};
use crate::store::write::txn::{Result, Txn};

/// Keeps what the last complete verification found, for the starts to come.
#[derive(Debug, Clone, Copy)]
pub struct RecordVerification(pub Verified);

/// Keeps when the last backup was made.
#[derive(Debug, Clone, Copy)]
pub struct RecordBackup(pub LastBackup);

impl Apply for RecordVerification {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> Result<()> {
        txn.set_verification(self.0)
    }
}

impl Apply for RecordBackup {
    type Output = ();

    fn apply(self, txn: &mut Txn<'_>) -> Result<()> {
        txn.set_last_backup(self.0)
    }
}
