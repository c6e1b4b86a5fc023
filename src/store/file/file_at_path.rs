//! The open database file, and the path at which the next start looks for it.
//!
//! A file that is open outlives its name: whoever removes it, or moves another one to its path,
//! leaves a server that writes where no start will ever look. So the two are compared with every
//! commit, before anybody is told of it, and once a second where nothing is written.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The file that was opened at a path.
#[derive(Debug)]
pub(in crate::store) struct FileAtPath {
    path: PathBuf,
    /// Held from the first opening on, so that nothing else is ever taken for it: what is opened
    /// later is this file, wherever it is by then.
    file: OnceLock<File>,
}

/// Why the next start would not find the file.
#[derive(Debug)]
pub(in crate::store) enum Displacement {
    /// There is nothing at the path.
    Removed,
    /// Another file is there.
    Replaced,
    /// What is there cannot be told.
    Hidden(io::Error),
}

impl FileAtPath {
    pub(in crate::store) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: OnceLock::new(),
        }
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file that was opened at the path, the first time.
    pub(in crate::store) fn hold(&self, file: File) {
        self.file.get_or_init(|| file);
    }

    /// The file, once it was opened.
    pub(in crate::store) fn file(&self) -> Option<&File> {
        self.file.get()
    }

    /// The file, to be opened once more.
    ///
    /// # Errors
    /// It was not opened yet, or there are too many open files.
    pub(in crate::store) fn handle(&self) -> io::Result<File> {
        let file = self.file.get();
        file.ok_or(io::ErrorKind::NotFound)?.try_clone()
    }

    /// How the file was displaced; none where it is at its path.
    pub(in crate::store) fn displacement(&self) -> Option<Displacement> {
        use std::os::unix::fs::MetadataExt as _;

        let open = match self.file.get()?.metadata() {
            Ok(open) => open,
            Err(error) => return Some(Displacement::Hidden(error)),
        };
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (open.dev(), open.ino()) => None,
            Ok(_) => Some(Displacement::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Displacement::Removed),
            Err(error) => Some(Displacement::Hidden(error)),
        }
    }
}

impl fmt::Display for Displacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("it was moved away or removed"),
            Self::Replaced => f.write_str("another file was put in its place"),
            Self::Hidden(error) => write!(f, "the path cannot be looked at: {error}"),
        }
    }
}
