//! The process: signals, limits, and the files that it holds.

pub mod atomic_file;
pub mod open_files;
pub mod server_lock;
pub mod signals;
