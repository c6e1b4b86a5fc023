//! Files that have a temporary name until they are complete.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How the name of an incomplete file begins and ends.
const PREFIX: &str = ".sessiond-";
const SUFFIX: &str = ".partial";

/// The longest chain of symbolic links that is followed.
const MAX_LINKS: usize = 40;

/// Creates a file with a temporary name in the directory of `target`, readable only by its owner.
/// It is removed when dropped, unless it was persisted.
///
/// # Errors
/// Returns an error if no file can be created in the directory.
pub fn create_partial(target: &Path) -> io::Result<NamedTempFile> {
    let directory = parent_dir(target);
    remove_abandoned(directory);
    let mut builder = tempfile::Builder::new();
    let file = builder
        .prefix(PREFIX)
        .suffix(SUFFIX)
        .tempfile_in(directory)?;
    // Locked while it is open. On a file system without locks nothing counts as abandoned.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes the incomplete files of killed processes: those that no process has locked.
pub fn remove_abandoned(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let is_partial = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let is_unlocked = |file: File| file.try_lock().is_ok();
        if name.to_str().is_some_and(is_partial) && File::open(entry.path()).is_ok_and(is_unlocked)
        {
            // A file that cannot be removed does no harm; the next call tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns the directory of a file.
#[must_use]
pub fn parent_dir(file: &Path) -> &Path {
    match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// Follows symbolic links to the file itself, so that a replacement keeps the link. The file need
/// not exist.
#[must_use]
pub fn resolve_links(name: &Path) -> PathBuf {
    let mut path = name.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = parent_dir(&path).join(next),
            Err(_) => return path,
        }
    }
    // The links form a cycle: opening the file reports that.
    name.to_owned()
}

/// Gives a file the owner and the mode of another one.
///
/// # Errors
/// Returns an error if the process may not do that.
pub fn set_owner_like(file: &File, model: &File) -> io::Result<()> {
    let (own, model) = (file.metadata()?, model.metadata()?);
    if (own.uid(), own.gid()) != (model.uid(), model.gid()) {
        fchown(file, Some(model.uid()), Some(model.gid()))?;
    }
    file.set_permissions(model.permissions())
}

/// Syncs the directory of `target`, so that a new name in it survives a power cut.
///
/// # Errors
/// Returns an error if the directory cannot be synced.
pub fn sync_parent_dir(target: &Path) -> io::Result<()> {
    File::open(parent_dir(target))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_a_file_that_need_not_exist() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        symlink("sub/second", path("first")).unwrap();
        symlink("../file", path("sub/second")).unwrap();
        assert_eq!(resolve_links(&path("first")), path("sub/../file"));
        assert_eq!(resolve_links(&path("none")), path("none"));
        symlink("cycle", path("cycle")).unwrap();
        assert_eq!(resolve_links(&path("cycle")), path("cycle"));
    }
}
