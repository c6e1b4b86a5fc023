//! Files that exist for as long as the process uses them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file or a socket that this process created, removed when this is dropped.
#[derive(Debug)]
pub struct OwnedFile {
    path: PathBuf,
    id: (u64, u64),
}

impl OwnedFile {
    /// Owns the file at a path.
    ///
    /// # Errors
    /// Returns an error if the file cannot be examined.
    pub fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            id: identity(path)?,
        })
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        // If the directory was moved, the path may belong to another process.
        if identity(&self.path).is_ok_and(|id| id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
