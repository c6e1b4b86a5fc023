//! Queries for the storage itself, and exports.

use crate::domain::archive::Item;
use crate::domain::time::Timestamp;
use crate::store::condition::{LastBackup, Verified};
use crate::store::error::ReadResult;
use crate::store::file::disk;
use crate::store::handle::Store;
use crate::store::maintenance::export::ExportCursor;
use crate::store::schema::tables::meta;

/// The state of the storage.
#[derive(Debug, Clone)]
pub struct StorageInfo {
    /// Where the data is, for the operator; none if it is in memory.
    pub location: Option<String>,
    /// The number of bytes that it takes.
    pub bytes: u64,
    /// The number of bytes in use at the last measurement; none before it.
    pub used_bytes: Option<u64>,
    /// The number of further bytes that are available; none if that is unknown.
    pub free_on_disk: Option<u64>,
    /// The last complete verification; none before the first one.
    pub verified: Option<Verified>,
    /// The last backup that the server made by itself or that a client downloaded completely; none
    /// before the first one, or if its record is damaged.
    pub last_backup: Option<LastBackup>,
}

impl Store {
    /// Returns the state of the storage.
    pub async fn storage(&self) -> ReadResult<StorageInfo> {
        let last_backup = self.read(|reader| reader.meta_counter(meta::LAST_BACKUP))?;
        let metadata = self.shared.file().and_then(|file| file.metadata().ok());
        Ok(StorageInfo {
            location: self.shared.file.as_ref().map(|file| {
                // If the working directory is gone, the relative path has to do.
                let path = file.path();
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                path.display().to_string()
            }),
            bytes: metadata.map_or(0, |metadata| metadata.len()),
            used_bytes: self.shared.space.used(),
            free_on_disk: self.shared.file().and_then(disk::free_bytes),
            verified: self.shared.condition.verified(),
            last_backup: last_backup.map(|record| LastBackup {
                at: record.point,
                bytes: record.rows,
            }),
        })
    }

    /// Returns the next items of an export; empty at its end. Unreadable places are noted in the
    /// cursor.
    pub async fn export(
        &self,
        cursor: &mut ExportCursor,
        limit: usize,
        now: Timestamp,
    ) -> ReadResult<Vec<Item>> {
        self.read(|reader| reader.export(cursor, limit, now))
    }
}
