//! The lock on a data directory.
//!
//! The lock of a database file ends with the file's name: once it was moved or removed, a second
//! server could start on a new file at the same path. So every process that works on a database
//! also locks its directory: servers and commands that write exclusively, commands that only read
//! shared. The lock belongs to the directory itself, so links and bind mounts lead to the same
//! lock. The system releases it when the process ends, even if it is killed.
//!
//! A server also announces itself in a file in the directory, so that other processes can name it.
//! It keeps that file locked: an unlocked one was left by a crash.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use super::owned_file::OwnedFile;

const ANNOUNCEMENT: &str = "sessiond.lock";

/// How long a command waits for another one.
pub const MAX_WAIT: Duration = Duration::from_secs(5);

/// How often it looks.
pub const WAIT_INTERVAL: Duration = Duration::from_millis(50);

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
    // Dropped in this order.
    _announcement: Option<(OwnedFile, File)>,
    _directory: File,
}

/// The process of a server that holds a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub process: u32,
    /// Its command, such as `serve`.
    pub command: String,
}

impl Holder {
    /// Whether it holds the data only for one request, and is about to end.
    #[must_use]
    pub fn is_brief(&self) -> bool {
        self.command == "sessions"
    }

    /// Whether it holds the data for as long as a person talks.
    #[must_use]
    pub fn is_chat(&self) -> bool {
        self.command == "chat"
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, command) = (self.process, &self.command);
        match command.as_str() {
            "serve" => write!(f, "a server (process {process})"),
            _ if self.is_chat() => write!(f, "a chat (`sessiond chat`, process {process})"),
            _ => write!(f, "`sessiond {command}` (process {process})"),
        }
    }
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
                _announcement: None,
                _directory: directory,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Does the same as [`Self::acquire`], but waits a few seconds for commands that hold the lock
    /// only for one request. A server is not waited for.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::acquire`].
    pub fn acquire_patiently(directory: &Path, mode: Mode) -> io::Result<Option<Self>> {
        let started = Instant::now();
        loop {
            let acquired = Self::acquire(directory, mode)?;
            let is_server = || Self::holder(directory).is_some_and(|holder| !holder.is_brief());
            if acquired.is_some() || started.elapsed() > MAX_WAIT || is_server() {
                return Ok(acquired);
            }
            thread::sleep(WAIT_INTERVAL);
        }
    }

    /// Announces this process to others that find the directory locked. If that fails, they only
    /// say less.
    #[must_use]
    pub fn announced(self, directory: &Path, command: &str) -> Self {
        Self {
            _announcement: announce(directory, command).ok(),
            ..self
        }
    }

    /// Returns the server that has locked a directory, if it has announced itself.
    #[must_use]
    pub fn holder(directory: &Path) -> Option<Holder> {
        let path = directory.join(ANNOUNCEMENT);
        let locked = File::open(&path).ok()?.try_lock_shared();
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            return None;
        }
        let text = fs::read_to_string(path).ok()?;
        let (process, command) = text.trim().split_once(' ')?;
        Some(Holder {
            process: process.parse().ok()?,
            command: command.to_owned(),
        })
    }
}

fn announce(directory: &Path, command: &str) -> io::Result<(OwnedFile, File)> {
    let path = directory.join(ANNOUNCEMENT);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path)?;
    let owned = OwnedFile::new(&path)?;
    file.try_lock()?;
    file.set_len(0)?;
    writeln!(file, "{} {command}", process::id())?;
    Ok((owned, file))
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

    #[test]
    fn the_holder_is_known_while_it_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let file = directory.join(ANNOUNCEMENT);
        fs::write(&file, "1 a crashed command with a long name").unwrap();
        assert_eq!(ServerLock::holder(directory), None);
        let lock = ServerLock::acquire(directory, Mode::Exclusive).unwrap();
        let lock = lock.unwrap().announced(directory, "chat");
        let holder = ServerLock::holder(directory).unwrap();
        let process = process::id();
        let shown = format!("a chat (`sessiond chat`, process {process})");
        assert_eq!(holder.to_string(), shown);
        drop(lock);
        assert!(!file.exists());
    }
}
