//! Sessions and messages on disk: one redb file, one writer, any number of readers.
//!
//! The rest of the crate opens a [`Store`], runs queries on it and submits commands to it. A
//! command that has been answered is on disk. No snapshot and no transaction leaves this directory.

pub mod command;
mod condition;
pub mod error;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
pub mod maintenance;
mod quarantine;
mod read;
pub mod schema;
mod shared;
mod write;

pub use self::condition::{LastBackup, StoreHealth, Verified};
pub use self::file::free_space::FreeSpace;
pub use self::file::open::OpenReport;
pub use self::handle::Store;
pub use self::maintenance::backup::Backup as StoredBackup;
pub use self::maintenance::export::ExportCursor;
pub use self::maintenance::import::Imported;
pub use self::maintenance::scrub::{Findings, ScrubError};
pub use self::read::message_page::{Page, PageRequest};
pub use self::read::message_time::MessageTimeSearch;
pub use self::read::previews::{MessagePreview, SessionPreview};
pub use self::read::search::{FoundMessage, SearchRequest, SearchSlice};
pub use self::read::sessions::{RowCounts, Stats, StoredSession};
pub use self::read::storage::StorageInfo;
pub use self::read::turns::{StoredTurn, TurnOutcome};
pub use self::read::waiting::{WaitingRequest, WaitingTurns};
pub use self::write::next_deadline::NextDeadline;

#[cfg(test)]
mod tests;
