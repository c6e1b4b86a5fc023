//! The data directory: its lock, and what is created in it.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::process::server_lock::{Mode, ServerLock};
use crate::store::error::OpenError;

/// Locks the data directory, once no short command holds it. Returns `None` if its file system has
/// no locks, or if it cannot be opened, which opening the database reports.
pub(crate) fn lock(data_dir: &Path, mode: Mode) -> Result<Option<ServerLock>, OpenError> {
    match ServerLock::acquire_patiently(data_dir, mode) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(OpenError::InUse),
        Err(error) => {
            tracing::warn!(
                %error,
                directory = %data_dir.display(),
                "the data directory cannot be locked; relying on the lock of the database file"
            );
            Ok(None)
        }
    }
}

pub(crate) fn create_data_dir(path: &Path) -> anyhow::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    let created = builder.create(path).map_err(OpenError::Io);
    created.with_context(|| format!("the data directory {} cannot be created", path.display()))
}

/// Creates the directory of the character files if it is missing, for its owner only. The data
/// directory must exist.
pub(crate) fn create_agents_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    match builder.create(path) {
        // If it is something else, reading it reports that.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}
