//! The size of a database file, and how much of it is data.

use std::path::Path;

use redb::Database;

use crate::usage;

/// Sizes of a database, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// The length of the file.
    pub(crate) file: u64,
    /// The space that it takes on disk: the file may be sparse.
    pub(crate) disk: u64,
    /// The keys and values in it.
    pub(crate) data: u64,
}

impl Size {
    /// Measures the database in a server's directory, which no other process may have open.
    pub(crate) fn of(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join("data").join("sessiond.redb");
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
