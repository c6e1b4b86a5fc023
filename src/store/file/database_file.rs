//! The storage of a database: a file on disk, or a test's substitute.

use std::sync::Arc;

use redb::Database;

use super::database::open_backend;
use super::disk;
use super::file_at_path::{Displacement, FileAtPath};
use super::open;
use super::overlay::{CopyOnWriteOverlay, OverlaySource};
use super::panic_guard::{PanicSafe, guard};
use super::reserve::Reserve;
use crate::store::error::OpenError;

/// The cache of a second view of a running server's file: it reads each page once or twice.
const LIVE_VIEW_CACHE_BYTES: usize = 32 << 20;

/// The storage of a database.
pub(crate) trait DatabaseFile: Send {
    /// Opens the database for writing, the first time and after a failure.
    fn open(&self) -> Result<Database, OpenError>;

    /// Opens a view of the database that writes nothing to the storage. The system's cache of it is
    /// dropped first, so that the view shows what is on the disk.
    fn open_view(&self) -> Result<Database, OpenError>;

    /// Returns how many bytes are free on the disk; none if that is unknown.
    fn free_bytes(&self) -> Option<u64>;

    /// Releases disk space that is reserved for deletions, if nothing else is left.
    fn release_reserve(&self) {}

    /// Reserves disk space for deletions, if there is enough of it.
    fn refill_reserve(&self) {}

    /// Returns why the next start would not find the open file; none if it would.
    fn displacement(&self) -> Option<Displacement>;
}

/// A database file on disk.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: Arc<FileAtPath>,
    reserve: Reserve,
    cache_bytes: usize,
}

impl DiskFile {
    pub(crate) fn new(file: &Arc<FileAtPath>, cache_bytes: usize) -> Self {
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
            return open::open_file(self.file.try_clone()?, self.cache_bytes);
        }
        let file = open::open_or_create(self.file.path())?;
        let opened = file.try_clone()?;
        if let Some(free) = disk::free_bytes(&file) {
            // Opening may write.
            self.reserve.release(free);
        }
        let database = open::open_file(file, self.cache_bytes)?;
        self.file.set_file(opened);
        Ok(database)
    }

    fn open_view(&self) -> Result<Database, OpenError> {
        let file = self.file.try_clone()?;
        disk::drop_cache(&file);
        open_view(file, self.cache_bytes)
    }

    fn free_bytes(&self) -> Option<u64> {
        disk::free_bytes(self.file.file()?)
    }

    fn release_reserve(&self) {
        if let Some(free) = self.free_bytes() {
            self.reserve.release(free);
        }
    }

    fn refill_reserve(&self) {
        if let Some(free) = self.free_bytes() {
            self.reserve.refill(free);
        }
    }

    fn displacement(&self) -> Option<Displacement> {
        self.file.displacement()
    }
}

/// Opens a view of a file that no server writes to.
pub(crate) fn open_view(
    source: impl OverlaySource,
    cache_bytes: usize,
) -> Result<Database, OpenError> {
    guard(|| open_backend(CopyOnWriteOverlay::new(source)?, cache_bytes))
}

/// Opens a view of the last commit in a running server's file, while its writer pauses.
///
/// The rows of that commit stay in place while the caller holds a snapshot that is not newer.
/// redb's own tables do not: their pages are reused by the next commit. So they are rewritten here,
/// by a commit that exists only in memory.
pub(crate) fn open_live_view(source: impl OverlaySource) -> Result<Database, OpenError> {
    let overlay = CopyOnWriteOverlay::with_current_header(source)?;
    let view = PanicSafe::new(guard(|| open_backend(overlay, LIVE_VIEW_CACHE_BYTES))?);
    view.write(|_| Ok(()))?;
    view.into_inner()
}
