//! The upkeep of a database: checks, verification, backups, exports and imports, online and offline.

pub(in crate::store) mod backup;
pub(in crate::store) mod check;
pub(in crate::store) mod checksums;
pub(in crate::store) mod copy;
pub(in crate::store) mod export;
pub mod import;
pub mod offline;
pub(in crate::store) mod scrub;
pub(in crate::store) mod verify;
