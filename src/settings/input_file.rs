//! Reads small files that an operator names: whole, within a limit, and without blocking.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Returns the content and the permission bits of a file of at most `limit` bytes. Follows symbolic
/// links, since container platforms provide secrets behind them. Refuses directories, pipes and
/// sockets.
pub(super) fn read(path: &Path, limit: u64) -> io::Result<(Vec<u8>, u32)> {
    // Without NONBLOCK, opening a pipe waits for its writer.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err(io::Error::other("it is a pipe or a socket"));
    }
    let mut bytes = Vec::new();
    // One more byte reveals a larger file. The size in the metadata is not reliable: a device has
    // 0.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let error = format!("it is larger than {limit} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, error));
    }
    Ok((bytes, metadata.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;

    use super::*;

    #[test]
    fn a_file_is_read_whole_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link");
        symlink("file", &link).unwrap();
        for path in [&path, &link] {
            assert_eq!(read(path, 5).unwrap(), (b"12345".to_vec(), 0o640));
            let larger = read(path, 4).unwrap_err();
            assert_eq!(larger.to_string(), "it is larger than 4 bytes");
        }
    }

    #[test]
    fn endless_files_are_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for (path, error) in [
            (&*pipe, "it is a pipe or a socket"),
            (Path::new("/dev/zero"), "it is larger than 5 bytes"),
            (directory.path(), "is a directory"),
        ] {
            let refused = read(path, 5).unwrap_err();
            assert_eq!(refused.to_string(), error);
        }
        assert!(read(Path::new("/dev/null"), 5).unwrap().0.is_empty());
    }
}
