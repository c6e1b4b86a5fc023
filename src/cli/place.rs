//! Where the database lies, and how another one takes its place.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::config::Config;
use crate::run::{DATABASE, make_folder};
use crate::store::error::OpenError;
use crate::store::file::Look;

/// The database of this configuration.
pub(super) fn database(config: &Config) -> PathBuf {
    config.storage.data_dir.join(DATABASE)
}

/// Looks into the database; none where a server holds it.
pub(super) fn look(config: &Config) -> anyhow::Result<Option<Look>> {
    let path = database(config);
    match Look::into(&path, config.storage.cache_bytes) {
        Ok(look) => Ok(Some(look)),
        Err(OpenError::InUse) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("the database {}", path.display())),
    }
}

/// A new database beside the one that it is to replace. Until then, it is gone when it is dropped.
pub(super) struct Replacement {
    file: NamedTempFile,
    target: PathBuf,
    /// The one that is there, locked, so that no server takes it meanwhile.
    present: Option<File>,
}

impl Replacement {
    /// An empty file beside the database, which is locked where there is one.
    pub(super) fn of(config: &Config) -> anyhow::Result<Self> {
        let folder = &config.storage.data_dir;
        make_folder(folder)?;
        let target = database(config);
        let present = match fs::metadata(&target) {
            Ok(_) => Some(lock(&target)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(error, &target)),
        };
        let file = beside(&target).map_err(|error| {
            anyhow::Error::new(OpenError::Io(error)).context(no_file_in(folder))
        })?;
        Ok(Self {
            file,
            target,
            present,
        })
    }

    /// The file to be filled.
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
        sync_folder(&target)
    }
}

/// The name of a file that is not complete begins and ends like this.
const PARTIAL: (&str, &str) = (".sessiond-", ".partial");

/// A file of the same folder, for its owner alone, that has another name until it is complete.
pub(super) fn beside(target: &Path) -> std::io::Result<NamedTempFile> {
    let folder = folder_of(target);
    remove_abandoned(folder);
    let (prefix, suffix) = PARTIAL;
    let file = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(suffix)
        .tempfile_in(folder)?;
    // Held for as long as it is open. Where a file system knows no locks, nothing is abandoned.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes the files that commands which were killed have left incomplete: nobody holds them.
pub(super) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let (prefix, suffix) = PARTIAL;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_partial = |name: &str| name.starts_with(prefix) && name.ends_with(suffix);
        if name.to_str().is_some_and(is_partial) && is_abandoned(&entry.path()) {
            // It is in nobody's way; the next command tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| file.try_lock().is_ok())
}

/// What is said where there can be no file beside another one.
pub(super) fn no_file_in(folder: &Path) -> String {
    format!("no file can be made in {}", folder.display())
}

/// The folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// What is said where a server holds the database, and the command cannot ask it instead.
pub(super) fn held(database: &Path) -> anyhow::Error {
    anyhow::anyhow!("a server holds {}; stop it first", database.display())
}

/// The file system's word on the database.
pub(super) fn unusable(error: std::io::Error, database: &Path) -> anyhow::Error {
    anyhow::Error::new(OpenError::Io(error)).context(database.display().to_string())
}

/// Makes a new name outlive a power cut.
pub(super) fn sync_folder(target: &Path) -> anyhow::Result<()> {
    if cfg!(unix) {
        File::open(folder_of(target))?.sync_all()?;
    }
    Ok(())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::open(path).map_err(|error| unusable(error, path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(held(path)),
        Err(TryLockError::Error(error)) => Err(unusable(error, path)),
    }
}
