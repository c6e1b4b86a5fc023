//! Maintenance: checks, verification, backups, exports and imports, online and offline.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod checksums;
pub(crate) mod copy;
pub(crate) mod export;
pub mod import;
pub mod merge;
pub mod offline;
mod progress;
pub(crate) mod scrub;
pub(crate) mod verify;
