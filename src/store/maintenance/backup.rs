//! Backups of the open store.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
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

    /// Writes the same copy to a new file at `target`, which appears when it is complete. Returns
    /// its length in bytes.
    ///
    /// # Errors
    /// As for [`backup`](Self::backup); or `target` exists.
    pub async fn backup_to(
        self: &Arc<Self>,
        target: PathBuf,
        now: Timestamp,
    ) -> Result<u64, CopyError> {
        let store = Arc::clone(self);
        let copying = tokio::task::spawn_blocking(move || {
            let file = atomic_file::create_partial(&target)?;
            store.copy_to(file.as_file(), now)?;
            let length = file.as_file().metadata()?.len();
            let persisted = file.persist_noclobber(&target);
            persisted.map_err(|error| error.error)?;
            atomic_file::sync_parent_dir(&target)?;
            Ok(length)
        });
        copying.await.map_err(io::Error::other)?
    }

    /// Creates the copy in an unnamed file beside the database.
    pub(crate) fn copy(&self, now: Timestamp) -> Result<File, CopyError> {
        let path = self.shared.file.as_ref().map(|file| file.path());
        let file = tempfile::tempfile_in(path.map_or(Path::new("."), atomic_file::parent_dir))?;
        self.copy_to(&file, now)?;
        Ok(file)
    }

    /// Writes the copy to an empty file.
    fn copy_to(&self, file: &File, now: Timestamp) -> Result<(), CopyError> {
        self.require_space_for_copy(file)?;
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
        Ok(())
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

    fn require_space_for_copy(&self, copy: &File) -> Result<(), CopyError> {
        let Some(source) = self.shared.file() else {
            return Ok(());
        };
        // A copy is never longer than its source.
        let needed = source
            .metadata()?
            .len()
            .saturating_add(disk::RESERVED_BYTES);
        match disk::free_bytes(copy) {
            Some(free) if free < needed => Err(CopyError::NoRoom { needed, free }),
            _ => Ok(()),
        }
    }
}
