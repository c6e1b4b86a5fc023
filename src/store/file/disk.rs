//! The disk under a file.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;

/// Below this many free bytes only deletions are written: a copy-on-write file needs free space to
/// release some.
pub(crate) const RESERVED_BYTES: u64 = 8 << 20;

/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;

/// Returns how many bytes are free for this process on the disk of a file.
pub(crate) fn free_bytes(file: &File) -> Option<u64> {
    let disk = rustix::fs::fstatvfs(file).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Returns how many bytes the disk holds for a file, which is less than its length if it has holes.
pub(crate) fn allocated_bytes(file: &File) -> Option<u64> {
    Some(file.metadata().ok()?.blocks() * BLOCK_BYTES)
}

/// Whether the error means that the disk is full: this may pass, and the file is not suspect.
pub(crate) fn is_full(error: &redb::Error) -> bool {
    let redb::Error::Io(error) = error else {
        return false;
    };
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Drops the system's cache of a file. After a failed sync the system may regard pages as written
/// that are not; what it drops, it reads again from the disk.
#[cfg(target_os = "linux")]
pub(crate) fn drop_cache(file: &File) {
    // Only advice: if it is ignored, the check sees what every reader would see.
    if let Err(error) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed) {
        tracing::warn!(%error, "the system's cache of the database cannot be dropped");
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn drop_cache(_: &File) {}
