//! Backups of the open store.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::Duration;

use super::{checksums, copy};
use crate::domain::time::Timestamp;
use crate::process::atomic_file;
use crate::store::Store;
use crate::store::error::{CopyError, OpenError};
use crate::store::file::database_file;
use crate::store::write::queue::{Pause, WriterMessage};
use crate::store::write::writer;

/// A copy of the database, which is gone when it is dropped.
#[derive(Debug)]
pub struct Backup {
    /// It has no name.
    file: Arc<File>,
    length: u64,
}

impl Backup {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns `length` of its bytes from `offset` on.
    ///
    /// # Errors
    /// It cannot be read, or has fewer.
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
    /// Makes a checked copy of everything, as it is at one moment. Writers wait for it while the
    /// file is opened beside them, and no longer.
    ///
    /// # Errors
    /// The disk has no free space for it or fails, or what is stored is not sound; damage to single
    /// records alone is no failure.
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

    /// Makes the copy in a file that has no name.
    pub(in crate::store) fn copy(&self, now: Timestamp) -> Result<File, CopyError> {
        let path = self.shared.file.as_ref().map(|file| file.path());
        let file = tempfile::tempfile_in(path.map_or(Path::new("."), atomic_file::folder_of))?;
        self.require_room_for_copy()?;
        let snapshot = {
            let database = self.shared.database();
            let database = database.as_ref();
            let open = database
                .ok_or_else(|| OpenError::Storage(Box::new(redb::Error::DatabaseClosed)))?;
            copy::begin_read(&open.database)?
        };
        if let Some(file) = &self.shared.file {
            // All that the snapshot sees and all that is newer stays where it is meanwhile.
            checksums::require_sound(&|| {
                self.while_paused(|| database_file::look_beside(file.handle()?))
            })?;
        }
        let mut copied = copy::copy(snapshot, file.try_clone()?, &mut |_| {})?;
        copy::settle(&mut copied, &self.shared.rules, now, &mut |_| {})?;
        copied.close()?;
        Ok(file)
    }

    /// Does something while the writer does nothing.
    pub(in crate::store) fn while_paused<T>(
        &self,
        work: impl FnOnce() -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        let closed = || OpenError::Storage(Box::new(redb::Error::DatabaseClosed));
        let (pause, pausing) = Pause::new();
        let mut queued = WriterMessage::Pause(pause);
        loop {
            match self.queue.try_send(queued) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return Err(closed()),
                Err(TrySendError::Full(back)) => queued = back,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        pausing.begun.recv().map_err(|_| closed())?;
        work()
    }

    fn require_room_for_copy(&self) -> Result<(), CopyError> {
        let Some(file) = self.shared.file() else {
            return Ok(());
        };
        // A copy is never longer than what it is made of.
        let needed = file.metadata()?.len().saturating_add(writer::RESERVE);
        match database_file::free_bytes(file) {
            Some(free) if free < needed => Err(CopyError::NoRoom { needed, free }),
            _ => Ok(()),
        }
    }
}
