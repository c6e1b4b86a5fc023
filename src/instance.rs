//! Which process serves a database, so that a command can tell it from any other that answers at
//! an address.
//!
//! A process has a random id. A server keeps it in a small file beside its database, which it
//! holds a lock on, and `/healthz` answers with it: whoever can look into the folder can compare.
//! The file that a crash leaves behind is one that nobody holds. The id is no secret and no proof
//! of anything but that: it says whom one has reached by mistake.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use uuid::Uuid;

use crate::partial;

/// The header of `/healthz` in which the id stands.
pub const HEADER: &str = "x-sessiond-instance";

/// Whether others can read a file that is locked. Where they cannot, it is not, and one that a
/// crash has left names a server that nobody finds.
const LOCKS_LET_READ: bool = cfg!(unix);

/// The id of this process.
#[must_use]
pub fn id() -> Uuid {
    static ID: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);
    *ID
}

/// The file that says who serves a database. When it is dropped, it is gone.
#[derive(Debug)]
pub struct Announcement {
    path: PathBuf,
    /// Its lock says that the server lives.
    _file: File,
}

impl Announcement {
    /// Says that this process serves a database, which it holds.
    ///
    /// # Errors
    /// There can be no file beside the database.
    pub fn beside(database: &Path) -> io::Result<Self> {
        let path = file_of(database);
        let file = partial::beside(&path)?;
        fs::write(file.path(), format!("{}\n", id()))?;
        share(file.as_file(), &fs::metadata(database)?)?;
        let file = file.persist(&path).map_err(|error| error.error)?;
        if !LOCKS_LET_READ {
            file.unlock()?;
        }
        Ok(Self { path, _file: file })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // One that stays is one that nobody holds.
        let _ = fs::remove_file(&self.path);
    }
}

/// Lets those read a file who may read the database.
#[cfg(unix)]
fn share(file: &File, database: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    // A group that the process is not in cannot be given.
    let _ = fchown(file, None, Some(database.gid()));
    file.set_permissions(database.permissions())
}

#[cfg(not(unix))]
fn share(_: &File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// The server of a database, as it says itself; none where it says nothing, or has ended.
///
/// # Errors
/// What it says cannot be read.
pub fn server_of(database: &Path) -> io::Result<Option<Uuid>> {
    let path = file_of(database);
    let in_words = |error: io::Error| {
        let words = format!("{}: {error}", path.display());
        io::Error::new(error.kind(), words)
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(in_words(error)),
    };
    if LOCKS_LET_READ && file.try_lock_shared().is_ok() {
        return Ok(None);
    }
    let text = io::read_to_string(file).map_err(in_words)?;
    Ok(Uuid::parse_str(text.trim()).ok())
}

/// Beside the file itself: all who come to it by links find the same.
fn file_of(database: &Path) -> PathBuf {
    partial::behind_links(database).with_extension("instance")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_server_is_known_for_as_long_as_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        assert_eq!(server_of(&database).unwrap(), None);
        fs::write(&database, "").unwrap();
        let announced = Announcement::beside(&database).unwrap();
        assert_eq!(server_of(&database).unwrap(), Some(id()));
        let link = folder.path().join("link");
        symlink(&database, &link).unwrap();
        assert_eq!(server_of(&link).unwrap(), Some(id()));
        drop(announced);
        assert_eq!(server_of(&database).unwrap(), None);
        assert!(!file_of(&database).exists());
    }

    #[test]
    fn what_a_crash_leaves_is_no_server_and_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("sessiond.redb");
        fs::write(file_of(&database), Uuid::nil().to_string()).unwrap();
        assert_eq!(server_of(&database).unwrap(), None);
        fs::write(&database, "").unwrap();
        let _announced = Announcement::beside(&database).unwrap();
        assert_eq!(server_of(&database).unwrap(), Some(id()));
    }
}
