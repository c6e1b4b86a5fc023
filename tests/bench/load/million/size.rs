//! How large a file is, and how much of it is data.

use std::path::Path;

use redb::Database;

/// The bytes of a file, and those of the keys and values in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// The file.
    pub(crate) file: u64,
    /// The data.
    pub(crate) data: u64,
}

impl Size {
    /// Measures the database in a server's folder; nobody else may have it open.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("data").join("sessiond.redb");
        let file = std::fs::metadata(&path)?.len();
        let database = Database::open(&path)?;
        let txn = database.begin_write()?;
        let data = txn.stats()?.stored_bytes();
        txn.abort()?;
        Ok(Self { file, data })
    }

    /// How many times as large as the data the file is.
    pub(crate) fn ratio(self) -> f64 {
        self.file as f64 / self.data.max(1) as f64
    }
}
