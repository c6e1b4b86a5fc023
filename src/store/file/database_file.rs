//! What a database lies on: the file on its disk, or what a test puts in its place.

use std::fs::File;
use std::io;
use std::sync::Arc;

use redb::Database;

use super::file_at_path::{Displacement, FileAtPath};
use super::open::{self, database_error, shielded};
use super::overlay::CopyOnWriteOverlay;
use super::panic_guard::PanicSafe;
use super::reserve::Reserve;
use crate::store::error::OpenError;
use crate::store::write::writer::begin_write;

/// The cache of who looks at a running server's file: each page is read once or twice.
const CACHE_BESIDE: usize = 32 << 20;

/// What a database lies on.
pub(in crate::store) trait DatabaseFile: Send {
    /// Opens the database to write, the first time and after a failure.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn open(&self) -> Result<Database, OpenError>;

    /// Opens what lies there to look at: nothing reaches the medium. What the system remembers of
    /// it is forgotten first, so that what is seen is what is there.
    ///
    /// # Errors
    /// See [`OpenError`].
    fn look(&self) -> Result<Database, OpenError>;

    /// How many bytes are free; none where that cannot be told.
    fn room(&self) -> Option<u64>;

    /// Gives back space that is held back for deletions, where nothing else is left.
    fn release_space(&self) {}

    /// Holds space back for deletions, where there is enough of it.
    fn hold_space(&self) {}

    /// Why the next start would not find what was opened; none where it would.
    fn displacement(&self) -> Option<Displacement>;
}

/// A file.
#[derive(Debug)]
pub(in crate::store) struct DiskFile {
    file: Arc<FileAtPath>,
    reserve: Reserve,
    cache_bytes: usize,
}

impl DiskFile {
    pub(in crate::store) fn new(file: &Arc<FileAtPath>, cache_bytes: usize) -> Self {
        Self {
            file: Arc::clone(file),
            reserve: Reserve::beside(file.path()),
            cache_bytes,
        }
    }
}

impl DatabaseFile for DiskFile {
    fn open(&self) -> Result<Database, OpenError> {
        if self.file.file().is_some() {
            return open::open_file(self.file.handle()?, self.cache_bytes);
        }
        let file = open::file_at(self.file.path())?;
        let held = file.try_clone()?;
        if let Some(room) = free_bytes(&file) {
            // To open it may need some.
            self.reserve.release(room);
        }
        let database = open::open_file(file, self.cache_bytes)?;
        self.file.hold(held);
        Ok(database)
    }

    fn look(&self) -> Result<Database, OpenError> {
        let file = self.file.handle()?;
        forget_cached(&file);
        look_into(file, self.cache_bytes)
    }

    fn room(&self) -> Option<u64> {
        free_bytes(self.file.file()?)
    }

    fn release_space(&self) {
        if let Some(room) = self.room() {
            self.reserve.release(room);
        }
    }

    fn hold_space(&self) {
        if let Some(room) = self.room() {
            self.reserve.refill(room);
        }
    }

    fn displacement(&self) -> Option<Displacement> {
        self.file.displacement()
    }
}

/// Opens a file to look at.
pub(in crate::store) fn look_into(
    source: impl super::overlay::Source,
    cache_bytes: usize,
) -> Result<Database, OpenError> {
    shielded(|| {
        Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(CopyOnWriteOverlay::into(source)?)
            .map_err(database_error)
    })
}

/// Opens the file of a running server to look at what was committed last, while its writer pauses.
///
/// The rows of that commit stay where they are for as long as the caller holds a snapshot that is
/// not newer. redb's own tables do not, but are used again with the next commit: so they are
/// written anew here, in memory, by a commit that nobody else sees.
pub(in crate::store) fn look_beside(
    file: impl super::overlay::Source,
) -> Result<Database, OpenError> {
    let peek = CopyOnWriteOverlay::beside_a_writer(file)?;
    let looked = PanicSafe::new(shielded(|| {
        Database::builder()
            .set_cache_size(CACHE_BESIDE)
            .create_with_backend(peek)
            .map_err(database_error)
    })?);
    shielded(|| {
        let txn = begin_write(looked.get()?).map_err(OpenError::Storage)?;
        Ok(txn.commit()?)
    })?;
    looked.into_inner()
}

/// After a failed sync the system may hold pages for written that are not. What it forgets it
/// reads again from the disk.
#[cfg(target_os = "linux")]
fn forget_cached(file: &File) {
    // It is advice: where it is not taken, the check sees what every reader would see.
    if let Err(error) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::warn!(%error, "the system's cache of the database cannot be emptied");
    }
}

#[cfg(not(target_os = "linux"))]
fn forget_cached(_: &File) {}

/// How many bytes are free for this process on the disk of a file.
pub(in crate::store) fn free_bytes(file: &File) -> Option<u64> {
    let disk = rustix::fs::fstatvfs(file).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// How many bytes of a file the disk holds: one with holes takes less than its length.
pub(in crate::store) fn allocated_bytes(file: &File) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;

    const BLOCK: u64 = 512;
    Some(file.metadata().ok()?.blocks() * BLOCK)
}

/// Whether an error says that the disk is full, which it may not be for long and which has spoilt
/// nothing.
pub(in crate::store) fn is_full(error: &redb::Error) -> bool {
    let redb::Error::Io(error) = error else {
        return false;
    };
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
