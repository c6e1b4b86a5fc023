//! The database file: how it is opened and created, and what it lies on.

pub(in crate::store) mod create;
pub(in crate::store) mod database_file;
pub(in crate::store) mod file_at_path;
pub(in crate::store) mod free_space;
pub(in crate::store) mod open;
pub(in crate::store) mod overlay;
pub(in crate::store) mod panic_guard;
pub(in crate::store) mod reserve;
pub(in crate::store) mod watch;
