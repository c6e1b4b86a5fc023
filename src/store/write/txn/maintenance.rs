//! What is kept of the care of the file.

use super::{Result, Txn, whole};
use crate::store::condition::{LastBackup, Verified};
use crate::store::schema::record::{self, Counter};
use crate::store::schema::tables::meta;

impl Txn<'_> {
    pub(in crate::store) fn set_verification(&mut self, verified: Verified) -> Result<()> {
        self.set_meta(meta::VERIFIED, verified.into())
    }

    pub(in crate::store) fn set_last_backup(&mut self, backup: LastBackup) -> Result<()> {
        self.set_meta(meta::LAST_BACKUP, backup.into())
    }

    fn set_meta(&mut self, name: &'static str, tally: Counter) -> Result<()> {
        let bytes = whole(record::encode_tally(tally))?;
        self.writes(&bytes);
        self.meta.insert(name, bytes.as_slice())?;
        Ok(())
    }
}

// A time and a number, in the record that older versions expect of a row that they do not know.

impl From<Verified> for Counter {
    fn from(verified: Verified) -> Self {
        Self {
            point: verified.at,
            rows: verified.damaged_pages,
        }
    }
}

impl From<Counter> for Verified {
    fn from(tally: Counter) -> Self {
        Self {
            at: tally.point,
            damaged_pages: tally.rows,
        }
    }
}

impl From<LastBackup> for Counter {
    fn from(backup: LastBackup) -> Self {
        Self {
            point: backup.at,
            rows: backup.bytes,
        }
    }
}

impl From<Counter> for LastBackup {
    fn from(tally: Counter) -> Self {
        Self {
            at: tally.point,
            bytes: tally.rows,
        }
    }
}
