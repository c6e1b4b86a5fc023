//! The database in `DATA_DIR`, and its replacement.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, chown, fchown};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::output::{Bar, ROWS};
use super::server_client::{in_use, runtime};
use crate::clock::Clock;
use crate::process::server_lock::{Mode, ServerLock};
use crate::process::{atomic_file, signals};
use crate::server::{create_data_dir, lock};
use crate::settings::Config;
use crate::store::error::OpenError;
use crate::store::maintenance::offline::OfflineDatabase;

/// Opens the database offline. Returns an error if another process holds it.
pub(super) fn require(config: &Config) -> anyhow::Result<OfflineDatabase> {
    open(config)?.ok_or_else(|| in_use(&config.storage.database()))
}

/// Opens the database offline. Returns `None` if another process holds it.
pub(super) fn open(config: &Config) -> anyhow::Result<Option<OfflineDatabase>> {
    let path = config.storage.database();
    let opened = lock(&config.storage.data_dir, Mode::Shared).and_then(|lock| {
        let database = OfflineDatabase::open(&path, config.storage.cache_bytes)?;
        Ok(database.with_lock(lock))
    });
    match opened {
        Err(OpenError::InUse) => Ok(None),
        opened => opened
            .map(Some)
            .with_context(|| format!("the database {}", path.display())),
    }
}

/// A new database file that is to replace the present one. Removed when dropped, unless persisted.
pub(super) struct Replacement {
    file: NamedTempFile,
    target: PathBuf,
    /// The present database, locked so that no server opens it meanwhile.
    present: Option<File>,
    /// A server's file may have been moved or removed, so the directory is locked too.
    _lock: Option<ServerLock>,
}

impl Replacement {
    /// Creates an empty file beside the database, and locks the database if it exists.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        create_data_dir(&config.storage.data_dir)?;
        let database = config.storage.database();
        let lock = match lock(&config.storage.data_dir, Mode::Exclusive) {
            Err(OpenError::InUse) => return Err(in_use(&database)),
            locked => locked?,
        };
        // If the name is a symbolic link, its target is replaced.
        let target = atomic_file::resolve_links(&database);
        let present = match File::open(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            opened => Some(opened.map_err(|error| io_error(error, &target))?),
        };
        let locked = present.as_ref().map_or(Ok(()), File::try_lock);
        locked.map_err(|error| match error {
            TryLockError::WouldBlock => in_use(&target),
            TryLockError::Error(error) => io_error(error, &target),
        })?;
        let file = create_partial(&target).map_err(|error| {
            let directory = atomic_file::parent_dir(&target);
            anyhow::Error::new(OpenError::Io(error)).context(no_file_in(directory))
        })?;
        set_owner(file.as_file(), present.as_ref(), &target).with_context(|| {
            format!(
                "the new file cannot be given to the owner of {}; run the command as that user. \
                 Nothing was changed",
                target.display()
            )
        })?;
        Ok(Self {
            file,
            target,
            present,
            _lock: lock,
        })
    }

    /// Returns the new file.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Replaces the database with the new file.
    pub(super) fn persist(self) -> anyhow::Result<()> {
        let target = self.target;
        let persisted = if self.present.is_some() {
            self.file.persist(&target)
        } else {
            // A database that a server has created meanwhile is not replaced.
            self.file.persist_noclobber(&target)
        };
        persisted.map_err(|error| io_error(error.error, &target))?;
        Ok(atomic_file::sync_parent_dir(&target)?)
    }
}

/// Creates the data directory if it is missing. Returns an error if another process holds it, or if
/// the database cannot be written or a file beside it cannot be created.
pub(super) fn require_writable(config: &Config) -> anyhow::Result<()> {
    let data_dir = &config.storage.data_dir;
    create_data_dir(data_dir)?;
    let database = config.storage.database();
    let _lock = match lock(data_dir, Mode::Exclusive) {
        Err(OpenError::InUse) => return Err(in_use(&database)),
        locked => locked?,
    };
    let target = atomic_file::resolve_links(&database);
    match OpenOptions::new().write(true).open(&target) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => drop(opened.map_err(|error| io_error(error, &target))?),
    }
    atomic_file::create_partial(&target)
        .map(drop)
        .map_err(|error| {
            let directory = atomic_file::parent_dir(&target);
            anyhow::Error::new(OpenError::Io(error)).context(no_file_in(directory))
        })
}

/// Whether another process holds the data directory.
pub(super) fn is_held(config: &Config) -> bool {
    let locked = ServerLock::acquire(&config.storage.data_dir, Mode::Exclusive);
    matches!(locked, Ok(None))
}

/// Whether the command handles signals itself, and completes its files before it ends.
static COMPLETES_FILES: AtomicBool = AtomicBool::new(false);

/// Lets files be completed after a signal. For a command that handles signals itself from now on.
pub(super) fn complete_files_at_signal() {
    COMPLETES_FILES.store(true, Ordering::Relaxed);
}

/// Creates a file in the directory of `target` that has a temporary name until it is complete.
/// Removed if the command ends before that, also by a signal that the command does not handle itself.
pub(super) fn create_partial(target: &Path) -> io::Result<NamedTempFile> {
    let file = atomic_file::create_partial(target)?;
    if !COMPLETES_FILES.load(Ordering::Relaxed) {
        remove_at_signal(file.path().to_owned())?;
    }
    Ok(file)
}

/// Makes SIGINT and SIGTERM remove an incomplete file before they end the process. A complete file
/// no longer has this name.
fn remove_at_signal(file: PathBuf) -> io::Result<()> {
    let runtime = runtime()?;
    let (listening, is_listening) = mpsc::channel();
    let wait = move || {
        let number = runtime.block_on(async {
            let signal = signals::stop_signal_number();
            let _ = listening.send(());
            signal.await
        });
        let _ = fs::remove_file(file);
        // The exit code of a process that the signal itself has ended, as shells report it.
        process::exit(128 + number)
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    is_listening.recv().map_err(io::Error::other)
}

/// Gives a new file the owner and the mode of the present one, so that the server's user can open
/// it. If there is none, the owner is that of the directory, if permitted.
fn set_owner(file: &File, present: Option<&File>, target: &Path) -> io::Result<()> {
    if let Some(present) = present {
        return atomic_file::set_owner_like(file, present);
    }
    let model = fs::metadata(atomic_file::parent_dir(target))?;
    let _ = fchown(file, Some(model.uid()), Some(model.gid()));
    Ok(())
}

/// Gives a new file or directory to the owner of another one, so that the server's user can read it
/// whichever user runs the command. Without permission, it stays with its creator.
pub(super) fn give_to_owner_of(other: &Path, new: &Path) {
    if let Ok(other) = fs::metadata(other) {
        // Its creator may be the right user already.
        let _ = chown(new, Some(other.uid()), Some(other.gid()));
    }
}

/// Whether two paths lead to the same existing file.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Copies a database to a file, with a progress bar.
pub(super) fn copy(
    database: &mut OfflineDatabase,
    file: &File,
    config: &Config,
) -> anyhow::Result<()> {
    let bar = Bar::new(ROWS, "copying");
    let now = Clock::system().now();
    Ok(database.copy_to(file, &config.rules, now, &mut |at| bar.show(at))?)
}

/// Returns the message for a directory in which no file can be created.
pub(super) fn no_file_in(directory: &Path) -> String {
    format!("no file can be created in {}", directory.display())
}

/// Returns the error of a file system operation on the database.
pub(super) fn io_error(error: io::Error, database: &Path) -> anyhow::Error {
    anyhow::Error::new(OpenError::Io(error)).context(database.display().to_string())
}
