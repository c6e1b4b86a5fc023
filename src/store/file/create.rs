//! Creating a new database file.

use std::io::ErrorKind;
use std::path::Path;

use redb::Database;
use redb::backends::FileBackend;

use super::panic_guard;
use crate::process::atomic_file;
use crate::store::error::OpenError;

/// Creates a database that only its owner can access.
///
/// The file has a temporary name until it is complete and on disk, so an interrupted creation is
/// never found under the real name. An empty or zeroed file that is found there was a database
/// once, and the operator decides what becomes of it.
pub(crate) fn create(path: &Path) -> Result<(), OpenError> {
    let target = atomic_file::resolve_links(path);
    let file = atomic_file::create_partial(&target)?;
    let handle = file.as_file().try_clone()?;
    panic_guard::guard(|| {
        let created = Database::builder().create_with_backend(FileBackend::new(handle)?);
        Ok(created.and_then(Database::close)?)
    })?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&target) {
        Ok(_) => Ok(atomic_file::sync_parent_dir(&target)?),
        // Another process was faster, and may have locked it.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error.into()),
    }
}
