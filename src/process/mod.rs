//! Signals, limits and files of the process.

pub mod atomic_file;
pub mod open_files;
pub mod owned_file;
pub mod server_lock;
pub mod signals;
