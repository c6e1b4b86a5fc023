//! The making of a new database file.

use std::io::ErrorKind;
use std::path::Path;

use redb::Database;
use redb::backends::FileBackend;

use super::open::{database_error, shielded};
use crate::process::atomic_file;
use crate::store::error::OpenError;

/// Makes a database where there is none, for its owner alone.
///
/// It has another name until it is whole and on disk. So a making that is cut off is never found
/// under the real name, and what is found there and is no database, be it empty or nothing but
/// zeros, was more once: it is for the operator to say what is to become of it.
pub(in crate::store) fn make(path: &Path) -> Result<(), OpenError> {
    let target = atomic_file::behind_links(path);
    let file = atomic_file::beside(&target)?;
    let handle = file.as_file().try_clone()?;
    shielded(|| {
        let backend = FileBackend::new(handle).map_err(database_error)?;
        let made = Database::builder().create_with_backend(backend);
        made.and_then(Database::close).map_err(database_error)
    })?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(&target) {
        Ok(_) => Ok(atomic_file::sync_folder(&target)?),
        // Another process was faster, and may hold it.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error.into()),
    }
}
