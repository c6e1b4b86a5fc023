//! Opening a redb database on a storage backend, and its write transactions.

use std::fs::File;

use redb::backends::FileBackend;
use redb::{Database, StorageBackend, TransactionError, WriteTransaction};

use crate::store::error::OpenError;

/// Opens the database that the backend holds, or creates one if it is empty.
pub(crate) fn open_backend(
    backend: impl StorageBackend,
    cache_bytes: usize,
) -> Result<Database, OpenError> {
    let mut builder = Database::builder();
    Ok(builder
        .set_cache_size(cache_bytes)
        .create_with_backend(backend)?)
}

/// Creates a database in an empty file.
pub(crate) fn create_in(file: File, cache_bytes: usize) -> Result<Database, OpenError> {
    open_backend(FileBackend::new(file)?, cache_bytes)
}

/// Begins a transaction whose commit is durable and leaves nothing to repair.
pub(crate) fn begin_write(database: &Database) -> Result<WriteTransaction, TransactionError> {
    let mut txn = database.begin_write()?;
    // For every commit, since recovery depends only on the last one.
    txn.set_quick_repair(true);
    Ok(txn)
}
