//! Files that have another name until they are complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The name of a file that is not complete begins and ends like this.
const NAME: (&str, &str) = (".sessiond-", ".partial");

/// The most links that lead from one to the next.
const MOST_LINKS: usize = 40;

/// A file of the same folder, for its owner alone, that has another name until it is complete.
/// Until then, it is gone when it is dropped.
///
/// # Errors
/// There can be no file in the folder.
pub fn beside(target: &Path) -> io::Result<NamedTempFile> {
    let folder = folder_of(target);
    remove_abandoned(folder);
    let (prefix, suffix) = NAME;
    let file = tempfile::Builder::new()
        .prefix(prefix)
        .suffix(suffix)
        .tempfile_in(folder)?;
    // Held for as long as it is open. Where a file system knows no locks, nothing is abandoned.
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// Removes the files that processes which were killed have left incomplete: nobody holds them.
pub fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let (prefix, suffix) = NAME;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_partial = |name: &str| name.starts_with(prefix) && name.ends_with(suffix);
        if name.to_str().is_some_and(is_partial) && is_abandoned(&entry.path()) {
            // It is in nobody's way; the next one tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_abandoned(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| file.try_lock().is_ok())
}

/// The folder of a file.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The file itself, where a name is a link to it: what is put in its place goes there. It need not
/// exist.
#[must_use]
pub fn behind_links(name: &Path) -> PathBuf {
    let mut path = name.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = folder_of(&path).join(next),
            Err(_) => return path,
        }
    }
    // They lead in a circle, which is said by whoever opens the file.
    name.to_owned()
}

/// Makes a new name outlive a power cut.
///
/// # Errors
/// The folder cannot be synced.
pub fn sync_folder(target: &Path) -> io::Result<()> {
    File::open(folder_of(target))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_to_a_file_that_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        symlink("sub/second", path("first")).unwrap();
        symlink("../file", path("sub/second")).unwrap();
        assert_eq!(behind_links(&path("first")), path("sub/../file"));
        assert_eq!(behind_links(&path("none")), path("none"));
        symlink("circle", path("circle")).unwrap();
        assert_eq!(behind_links(&path("circle")), path("circle"));
    }
}
