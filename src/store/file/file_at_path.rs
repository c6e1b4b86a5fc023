//! The open database file, and the path at which the next start looks for it.
//!
//! An open file outlives its name: if it is removed or replaced, the server writes to a file that
//! no start will find. So the two are compared with every commit, before it is acknowledged, and
//! once a second when idle.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The file that was opened at a path.
#[derive(Debug)]
pub(crate) struct FileAtPath {
    path: PathBuf,
    /// Set at the first opening. Later openings reuse this file, wherever it is by then, so that no
    /// other file is ever mistaken for it.
    file: OnceLock<File>,
}

/// Why the next start would not find the file.
#[derive(Debug)]
pub(crate) enum Displacement {
    Removed,
    Replaced,
    Unreadable(io::Error),
}

impl FileAtPath {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: OnceLock::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Stores the file that was opened at the path the first time.
    pub(crate) fn set_file(&self, file: File) {
        self.file.get_or_init(|| file);
    }

    pub(crate) fn file(&self) -> Option<&File> {
        self.file.get()
    }

    /// Returns a new handle of the file; fails before it has been opened.
    pub(crate) fn try_clone(&self) -> io::Result<File> {
        let file = self.file.get();
        file.ok_or(io::ErrorKind::NotFound)?.try_clone()
    }

    /// Returns how the file was displaced; none if it is at its path.
    pub(crate) fn displacement(&self) -> Option<Displacement> {
        use std::os::unix::fs::MetadataExt as _;

        let open = match self.file.get()?.metadata() {
            Ok(open) => open,
            Err(error) => return Some(Displacement::Unreadable(error)),
        };
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (open.dev(), open.ino()) => None,
            Ok(_) => Some(Displacement::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Displacement::Removed),
            Err(error) => Some(Displacement::Unreadable(error)),
        }
    }
}

impl fmt::Display for Displacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("it was moved or removed"),
            Self::Replaced => f.write_str("another file was put in its place"),
            Self::Unreadable(error) => write!(f, "the path cannot be inspected: {error}"),
        }
    }
}
