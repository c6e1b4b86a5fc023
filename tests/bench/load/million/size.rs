//! How large a file is, and how much of it is data.

use std::path::Path;

use redb::Database;

use crate::usage;

/// The bytes of a file, those that it takes on the disk, and those of the keys and values in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// The file.
    pub(crate) file: u64,
    /// Its share of the disk: a file may have holes.
    pub(crate) disk: u64,
    /// The data.
    pub(crate) data: u64,
}

impl Size {
    /// Measures the database in a server's folder; nobody else may have it open.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("data").join("sessiond.redb");
        let metadata = std::fs::metadata(&path)?;
        let database = Database::open(&path)?;
        let txn = database.begin_write()?;
        let data = txn.stats()?.stored_bytes();
        txn.abort()?;
        Ok(Self {
            file: metadata.len(),
            disk: usage::on_disk(&metadata),
            data,
        })
    }
}
