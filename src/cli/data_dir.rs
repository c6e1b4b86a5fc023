//! The database in `DATA_DIR`, and how another one takes its place.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc;
use std::thread;

use anyhow::Context as _;
use tempfile::NamedTempFile;

use super::server_client::held;
use crate::process::server_lock::{Mode, ServerLock};
use crate::process::{atomic_file, signals};
use crate::server::{DATABASE, make_folder};
use crate::settings::Config;
use crate::store::error::OpenError;
use crate::store::maintenance::offline::OfflineDatabase;

/// Returns the path of the database.
pub(super) fn database(config: &Config) -> PathBuf {
    config.storage.data_dir.join(DATABASE)
}

/// Takes the data folder for a command.
///
/// # Errors
/// Another process holds it.
pub(super) fn lock_folder(config: &Config, mode: Mode) -> Result<Option<ServerLock>, OpenError> {
    match ServerLock::take(&config.storage.data_dir, mode) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(OpenError::InUse),
        // Opening the database reports what is wrong with the folder. A file system may also have no
        // locks for folders: then that of the database must do.
        Err(_) => Ok(None),
    }
}

/// Opens the database offline. Returns `None` where another process holds it.
pub(super) fn look(config: &Config) -> anyhow::Result<Option<OfflineDatabase>> {
    let path = database(config);
    let looked = lock_folder(config, Mode::Shared).and_then(|lock| {
        let look = OfflineDatabase::into(&path, config.storage.cache_bytes)?;
        Ok(look.under(lock))
    });
    match looked {
        Ok(look) => Ok(Some(look)),
        Err(OpenError::InUse) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("the database {}", path.display())),
    }
}

/// A new database beside the one that it is to replace. Removed when dropped before that.
pub(super) struct Replacement {
    file: NamedTempFile,
    target: PathBuf,
    /// The present database, locked so that no server opens it meanwhile.
    present: Option<File>,
    /// Locks the data folder too: a server's file may have been moved or removed.
    _lock: Option<ServerLock>,
}

impl Replacement {
    /// Creates an empty file beside the database, and locks the database if there is one.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let folder = &config.storage.data_dir;
        make_folder(folder)?;
        let folder_lock = match lock_folder(config, Mode::Exclusive) {
            Err(OpenError::InUse) => return Err(held(&database(config))),
            taken => taken?,
        };
        // A link stays what it is: the file that it leads to is replaced.
        let target = atomic_file::behind_links(&database(config));
        let present = match fs::metadata(&target) {
            Ok(_) => Some(lock(&target)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(error, &target)),
        };
        let file = beside(&target).map_err(|error| {
            let folder = atomic_file::folder_of(&target);
            anyhow::Error::new(OpenError::Io(error)).context(no_file_in(folder))
        })?;
        hand_over(file.as_file(), present.as_ref(), &target).with_context(|| {
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
            _lock: folder_lock,
        })
    }

    /// Returns the file to be filled.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the new database in its place.
    pub(super) fn take_place(self) -> anyhow::Result<()> {
        let target = self.target;
        let placed = if self.present.is_some() {
            self.file.persist(&target)
        } else {
            // Where a server has made one meanwhile, that one stays.
            self.file.persist_noclobber(&target)
        };
        // The error without the file, which repeats it.
        placed.map_err(|error| unusable(error.error, &target))?;
        Ok(atomic_file::sync_folder(&target)?)
    }
}

/// Creates a file in the same folder that has another name until it is complete. Removed if the command
/// ends before that, also by a signal.
pub(super) fn beside(target: &Path) -> std::io::Result<NamedTempFile> {
    let file = atomic_file::beside(target)?;
    remove_at_signal(file.path().to_owned())?;
    Ok(file)
}

/// Has SIGINT and SIGTERM remove an incomplete file before they end the process. Once the file has its
/// own name there is nothing to remove.
///
/// # Errors
/// The system has no thread to give, or no signals.
fn remove_at_signal(file: PathBuf) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (listening, is_listening) = mpsc::channel();
    let wait = move || {
        let number = runtime.block_on(async {
            let signal = signals::signal_number();
            // Whoever is gone no longer waits.
            let _ = listening.send(());
            signal.await
        });
        let _ = fs::remove_file(file);
        // As a shell has it for a process that the signal itself has ended.
        process::exit(128 + number)
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    is_listening.recv().map_err(std::io::Error::other)
}

/// Gives a new file to the owner of the one that it replaces, with the same rights for others, so
/// that the server's user can open it, whoever has made it. Where there is none, it goes to the
/// folder's owner, if that may be.
fn hand_over(file: &File, present: Option<&File>, target: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let model = match present {
        Some(present) => present.metadata()?,
        None => fs::metadata(atomic_file::folder_of(target))?,
    };
    let own = file.metadata()?;
    let is_given = (own.uid(), own.gid()) == (model.uid(), model.gid())
        || fchown(file, Some(model.uid()), Some(model.gid())).is_ok();
    match present {
        None => Ok(()),
        Some(_) if is_given => file.set_permissions(model.permissions()),
        Some(_) => Err(std::io::ErrorKind::PermissionDenied.into()),
    }
}

/// Whether two names are those of one file, which is there.
pub(super) fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Returns what identifies a file, whatever its names.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;

    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Returns the message for a folder in which no file can be created.
pub(super) fn no_file_in(folder: &Path) -> String {
    format!("no file can be created in {}", folder.display())
}

/// Returns the error of a file system operation on the database.
pub(super) fn unusable(error: std::io::Error, database: &Path) -> anyhow::Error {
    anyhow::Error::new(OpenError::Io(error)).context(database.display().to_string())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).map_err(|error| unusable(error, path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(held(path)),
        Err(TryLockError::Error(error)) => Err(unusable(error, path)),
    }
}
