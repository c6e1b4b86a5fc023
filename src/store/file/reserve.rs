//! Disk space that is held back for what makes room.
//!
//! A file that copies on write needs free space to give some. Where somebody else has filled the
//! disk to its last byte, not even a deletion could be written. So a small file beside the database
//! holds blocks of the disk, and gives them back, a piece before each commit that needs one, when
//! nothing else is left.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::process::atomic_file;
use crate::store::write::writer::RESERVE;

/// How much is held back.
const SIZE: u64 = 2 << 20;

/// How much is given back at once: more than a small commit needs.
const PIECE: u64 = 512 << 10;

/// The file that holds the space.
#[derive(Debug)]
pub(in crate::store) struct Reserve {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// None before it is opened.
    file: Option<File>,
    bytes: u64,
    /// Whether the file system cannot hold space back.
    is_impossible: bool,
}

impl Reserve {
    /// Of a database; nothing is held yet, but for what an earlier server has left.
    pub(in crate::store) fn beside(database: &Path) -> Self {
        Self {
            path: atomic_file::behind_links(database).with_extension("reserve"),
            held: Mutex::default(),
        }
    }

    /// Gives back a piece if the disk has less than that.
    pub(in crate::store) fn release(&self, room: u64) {
        let mut held = self.held();
        if room >= PIECE || self.open(&mut held, false).is_err() || held.bytes == 0 {
            return;
        }
        let left = held.bytes.saturating_sub(PIECE);
        let shortened = held.file.as_ref().map(|file| file.set_len(left));
        if let Some(Ok(())) = shortened {
            held.bytes = left;
            tracing::info!(left, "the disk is full; space that was held back is used");
        }
    }

    /// Holds back what is missing, where the disk has enough for that and for new data.
    pub(in crate::store) fn refill(&self, room: u64) {
        let mut held = self.held();
        let missing = SIZE.saturating_sub(held.bytes);
        if missing == 0 || held.is_impossible || room < missing + RESERVE {
            return;
        }
        let filled = self.open(&mut held, true).and_then(|()| held.grow());
        if let Err(error) = filled {
            held.is_impossible = error.kind() != io::ErrorKind::StorageFull;
            tracing::debug!(%error, "no space can be held back for deletions");
        }
    }

    fn open(&self, held: &mut Held, is_made: bool) -> io::Result<()> {
        if held.file.is_some() {
            return Ok(());
        }
        let mut options = File::options();
        options.read(true).write(true).create(is_made);
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
        let missing = SIZE.saturating_sub(self.bytes);
        if missing == 0 {
            return Ok(());
        }
        if let Err(error) = fallocate(file, FallocateFlags::empty(), self.bytes, missing) {
            // A part of it may be there.
            file.set_len(self.bytes)?;
            return Err(error.into());
        }
        self.bytes = SIZE;
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
    fn space_is_held_given_back_in_pieces_and_held_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        let length = || {
            let file = folder.path().join("sessiond.reserve");
            file.metadata().map_or(0, |file| file.len())
        };
        let reserve = Reserve::beside(&database);
        reserve.release(0);
        reserve.refill(SIZE + RESERVE - 1);
        assert_eq!(length(), 0, "new data comes first");
        reserve.refill(SIZE + RESERVE);
        assert_eq!(length(), SIZE);
        reserve.release(PIECE);
        assert_eq!(length(), SIZE, "it is not needed yet");

        reserve.release(PIECE - 1);
        assert_eq!(length(), SIZE - PIECE);
        // A later server finds what is left.
        let reserve = Reserve::beside(&database);
        for _ in 0..10 {
            reserve.release(0);
        }
        assert_eq!(length(), 0);
        reserve.refill(u64::MAX);
        assert_eq!(length(), SIZE);
    }
}
