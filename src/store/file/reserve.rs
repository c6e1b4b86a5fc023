//! Disk space that is reserved for deletions.
//!
//! A copy-on-write file needs free space to release some. If another program has filled the disk to
//! the last byte, not even a deletion could be written. So a small file beside the database holds
//! blocks of the disk and releases them when nothing else is left, a piece before each commit that
//! needs one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::RESERVED_BYTES;
use crate::process::atomic_file;

/// The bytes that the reserve holds when it is full.
const SIZE_BYTES: u64 = 2 << 20;

/// The bytes that are released at once: more than a small commit needs.
const PIECE_BYTES: u64 = 512 << 10;

/// The file that holds the reserved space.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// None before it is opened.
    file: Option<File>,
    bytes: u64,
    /// Whether the file system cannot reserve space.
    is_unsupported: bool,
}

impl Reserve {
    /// Returns the reserve of a database. It is empty, or holds what an earlier server has left.
    pub(crate) fn beside(database: &Path) -> Self {
        Self {
            path: atomic_file::resolve_links(database).with_extension("reserve"),
            held: Mutex::default(),
        }
    }

    /// Releases a piece if the disk has less than that free.
    pub(crate) fn release(&self, free_bytes: u64) {
        let mut held = self.held();
        if free_bytes >= PIECE_BYTES || self.open(&mut held, false).is_err() || held.bytes == 0 {
            return;
        }
        let left = held.bytes.saturating_sub(PIECE_BYTES);
        let shortened = held.file.as_ref().map(|file| file.set_len(left));
        if let Some(Ok(())) = shortened {
            held.bytes = left;
            tracing::info!(left, "the disk is full; using reserved space");
        }
    }

    /// Reserves what is missing, if the disk has enough free space for that and for new data.
    pub(crate) fn refill(&self, free_bytes: u64) {
        let mut held = self.held();
        let missing = SIZE_BYTES.saturating_sub(held.bytes);
        if missing == 0 || held.is_unsupported || free_bytes < missing + RESERVED_BYTES {
            return;
        }
        let filled = self.open(&mut held, true).and_then(|()| held.grow());
        if let Err(error) = filled {
            held.is_unsupported = error.kind() != io::ErrorKind::StorageFull;
            tracing::debug!(%error, "cannot reserve disk space for deletions");
        }
    }

    fn open(&self, held: &mut Held, create: bool) -> io::Result<()> {
        if held.file.is_some() {
            return Ok(());
        }
        let mut options = File::options();
        options.read(true).write(true).create(create);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path)?;
        held.bytes = file.metadata()?.len();
        held.file = Some(file);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code panics with the lock held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    #[cfg(target_os = "linux")]
    fn grow(&mut self) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};

        let Some(file) = &self.file else {
            return Ok(());
        };
        let missing = SIZE_BYTES.saturating_sub(self.bytes);
        if missing == 0 {
            return Ok(());
        }
        if let Err(error) = fallocate(file, FallocateFlags::empty(), self.bytes, missing) {
            // A part of it may be allocated.
            file.set_len(self.bytes)?;
            return Err(error.into());
        }
        self.bytes = SIZE_BYTES;
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self)]
    fn grow(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn space_is_reserved_released_in_pieces_and_reserved_again() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("sessiond.redb");
        let length = || {
            let file = dir.path().join("sessiond.reserve");
            file.metadata().map_or(0, |file| file.len())
        };
        let reserve = Reserve::beside(&database);
        reserve.release(0);
        reserve.refill(SIZE_BYTES + RESERVED_BYTES - 1);
        assert_eq!(length(), 0, "new data comes first");
        reserve.refill(SIZE_BYTES + RESERVED_BYTES);
        assert_eq!(length(), SIZE_BYTES);
        reserve.release(PIECE_BYTES);
        assert_eq!(length(), SIZE_BYTES, "not needed yet");

        reserve.release(PIECE_BYTES - 1);
        assert_eq!(length(), SIZE_BYTES - PIECE_BYTES);
        // A later server continues with what is left.
        let reserve = Reserve::beside(&database);
        for _ in 0..10 {
            reserve.release(0);
        }
        assert_eq!(length(), 0);
        reserve.refill(u64::MAX);
        assert_eq!(length(), SIZE_BYTES);
    }
}
