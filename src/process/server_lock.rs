//! The lock on a data directory.
//!
//! The lock of a database file ends with the file's name: once it was moved or removed, a second
//! server could start on a new file at the same path. So every process that works on a database
//! also locks its directory: servers and commands that write exclusively, commands that only read
//! shared. The lock belongs to the directory itself, so links and bind mounts lead to the same
//! lock. The system releases it when the process ends, even if it is killed.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// How a data directory is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By one process that may write.
    Exclusive,
    /// By any number of processes that only read.
    Shared,
}

/// A lock on a data directory, released when dropped.
#[derive(Debug)]
pub struct ServerLock {
    _directory: File,
}

impl ServerLock {
    /// Locks a directory without waiting. Returns `None` if another process has locked it.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be opened, or its file system has no locks.
    pub fn acquire(directory: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let directory = File::open(directory)?;
        let locked = match mode {
            Mode::Exclusive => directory.try_lock(),
            Mode::Shared => directory.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(Some(Self {
                _directory: directory,
            })),
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
    fn a_directory_has_one_writer_or_many_readers_whichever_name_it_is_opened_by() {
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("data");
        std::fs::create_dir(&data_dir).unwrap();
        let link = home.path().join("link");
        symlink(&data_dir, &link).unwrap();
        let is_free = |mode| ServerLock::acquire(&link, mode).unwrap().is_some();

        let readers = [(); 2].map(|()| ServerLock::acquire(&data_dir, Mode::Shared).unwrap());
        assert!(readers.iter().all(Option::is_some));
        assert!(is_free(Mode::Shared) && !is_free(Mode::Exclusive));
        drop(readers);

        let writer = ServerLock::acquire(&data_dir, Mode::Exclusive).unwrap();
        assert!(!is_free(Mode::Shared) && !is_free(Mode::Exclusive));
        std::fs::rename(&data_dir, home.path().join("moved")).unwrap();
        std::fs::create_dir(&data_dir).unwrap();
        assert!(is_free(Mode::Exclusive), "it is another directory");
        drop(writer);
    }
}
