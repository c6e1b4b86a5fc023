//! The lock on a data folder.
//!
//! A database's own lock belongs to the file. Once that was moved or removed, its path is free,
//! and a second server could start there beside the first one. So whoever works on a database
//! holds its folder too: a server, or a command that writes, alone; commands that only read share
//! it. The lock belongs to the folder and not to one of its names, so links to it lead to the same
//! lock, and so do the containers of one machine that mount it. It ends with its process, however
//! that ends.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// How a data folder is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By one process alone.
    Exclusive,
    /// Together with others that only read.
    Shared,
}

/// A data folder, held until this is dropped.
#[derive(Debug)]
pub struct ServerLock {
    _folder: File,
}

impl ServerLock {
    /// Takes the lock of a folder; none where another process holds it.
    ///
    /// # Errors
    /// The folder cannot be opened, or its file system knows no locks.
    pub fn take(folder: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let folder = File::open(folder)?;
        let taken = match mode {
            Mode::Exclusive => folder.try_lock(),
            Mode::Shared => folder.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { _folder: folder })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_has_one_writer_or_many_readers_whatever_it_is_called() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        let link = home.path().join("link");
        symlink(&folder, &link).unwrap();
        let is_free = |mode| ServerLock::take(&link, mode).unwrap().is_some();

        let readers = [(); 2].map(|()| ServerLock::take(&folder, Mode::Shared).unwrap());
        assert!(readers.iter().all(Option::is_some));
        assert!(is_free(Mode::Shared) && !is_free(Mode::Exclusive));
        drop(readers);

        let writer = ServerLock::take(&folder, Mode::Exclusive).unwrap();
        assert!(!is_free(Mode::Shared) && !is_free(Mode::Exclusive));
        std::fs::rename(&folder, home.path().join("moved")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(is_free(Mode::Exclusive), "it is another folder");
        drop(writer);
    }
}
