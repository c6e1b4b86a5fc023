//! The database file: opening, creating, and the storage below it.

pub(crate) mod create;
pub(crate) mod database;
pub(crate) mod database_file;
pub(crate) mod disk;
pub(crate) mod file_at_path;
pub(crate) mod free_space;
pub(crate) mod open;
pub(crate) mod overlay;
pub(crate) mod panic_guard;
pub(crate) mod reserve;
