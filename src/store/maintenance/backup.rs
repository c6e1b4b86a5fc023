//! Backups of the open store.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use super::{checksums, copy};
use crate::domain::time::Timestamp;
use crate::process::atomic_file;
use crate::store::error::{CopyError, OpenError};
use crate::store::file::database_file::open_live_view;
use crate::store::file::disk;
use crate::store::handle::Store;
use crate::store::write::queue::{Pause, WriterMessage};

/// A copy of the database in an unnamed file, which is deleted when this is dropped.
#[derive(Debug)]
pub struct Backup {
    file: Arc<File>,
    length: u64,
}

impl Backup {
    /// Returns its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns `length` bytes from `offset` on.
    ///
    /// # Errors
    /// The file cannot be read, or has fewer bytes.
    pub async fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = Arc::clone(&self.file);
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, offset)?;
            Ok(bytes)
        });
        reading.await.map_err(io::Error::other)?
    }
}

impl Store {
    /// Creates a verified copy of everything as of one moment. The writer pauses only while a
    /// second view of the file is opened.
    ///
    /// # Errors
    /// The disk has no free space for it or fails, or the stored data is not sound; damage to
    /// single records is not a failure.
    pub async fn backup(self: &Arc<Self>, now: Timestamp) -> Result<Backup, CopyError> {
        let store = Arc::clone(self);
        let copying = tokio::task::spawn_blocking(move || {
            let file = store.copy(now)?;
            Ok(Backup {
                length: file.metadata()?.len(),
                file: Arc::new(file),
            })
        });
        copying.await.map_err(io::Error::other)?
    }

    /// Creates the copy in an unnamed file.
    pub(crate) fn copy(&self, now: Timestamp) -> Result<File, CopyError> {
        let path = self.shared.file.as_ref().map(|file| file.path());
        let file = tempfile::tempfile_in(path.map_or(Path::new("."), atomic_file::parent_dir))?;
        self.require_space_for_copy()?;
        let snapshot = {
            let database = self.shared.database();
            let open = database.as_ref().ok_or(redb::Error::DatabaseClosed);
            open.map_err(OpenError::from)?.begin_read()?
        };
        if let Some(file) = &self.shared.file {
            // The pages of the snapshot, and newer ones, stay in place meanwhile.
            checksums::require_sound(&|| self.while_paused(|| open_live_view(file.try_clone()?)))?;
        }
        let mut copied = copy::copy(snapshot, file.try_clone()?, &mut |_| {})?;
        copy::verify(&mut copied, &self.shared.rules, now, &mut |_| {})?;
        copied.close()?;
        Ok(file)
    }

    /// Runs `work` while the writer is paused.
    pub(crate) fn while_paused<T>(
        &self,
        work: impl FnOnce() -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let (pause, begun) = mpsc::sync_channel(0);
        let queued = self.queue.send(WriterMessage::Pause(Pause(pause)));
        queued.map_err(|_| redb::Error::DatabaseClosed)?;
        begun.recv().map_err(|_| redb::Error::DatabaseClosed)?;
        let result = work();
        // The pause ends here.
        drop(begun);
        result
    }

    fn require_space_for_copy(&self) -> Result<(), CopyError> {
        let Some(file) = self.shared.file() else {
            return Ok(());
        };
        // A copy is never longer than its source.
        let needed = file.metadata()?.len().saturating_add(disk::RESERVED_BYTES);
        match disk::free_bytes(file) {
            Some(free) if free < needed => Err(CopyError::NoRoom { needed, free }),
            _ => Ok(()),
        }
    }
}
