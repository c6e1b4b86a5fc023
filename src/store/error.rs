//! What the rest of the crate hears of the store's troubles.

use std::io;

use super::schema::record::RecordError;
use crate::domain::error::Refusal;

/// What the system says of a part of a disk that cannot be read. The number is the same on every
/// system.
const EIO: i32 = 5;

/// What can be done about a damaged database.
pub const REMEDY: &str = "`sessiond restore --force FILE` puts a backup in its place; without one, \
                          `sessiond export` prints what can still be read, and `sessiond import` \
                          makes a database of that in an empty folder, which --data-dir or \
                          DATA_DIR chooses";

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database is closed, being reopened, or failed to read.
    // Its words are in these already, so it is no source: whoever shows the sources too would say
    // them twice.
    #[error("the database cannot be read: {0}")]
    Storage(Box<redb::Error>),
    /// There is no open database at present.
    #[error("the database is not open")]
    Closed,
    /// What is stored under the key that was asked for is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rules refuse it; nothing was written.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The queue is full; nothing was written.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The store is closing; nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The database failed before the commit; nothing was written.
    #[error("the database failed")]
    Storage,
    /// The disk has hardly any room left; nothing was written.
    #[error("the disk is nearly full")]
    NoRoom,
    /// The commit failed half-way: it may or may not be on disk.
    #[error("the commit failed, its outcome is unknown")]
    OutcomeUnknown,
    /// A record that the command needs is damaged; nothing was written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a database file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds it.
    #[error("another process has the database open")]
    InUse,
    /// It was written by a newer version of this program.
    #[error(
        "the database has schema version {found}, and this version of sessiond reads up to \
         {known}; run the newer sessiond that wrote it. Nothing was changed"
    )]
    Newer {
        /// The file's schema version.
        found: u32,
        /// The newest that this build reads.
        known: u32,
    },
    /// It is no database of this program.
    #[error("the file is not a sessiond database ({0}). Nothing was changed")]
    Foreign(String),
    /// It is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database failed otherwise.
    #[error("the database cannot be opened: {0}")]
    Storage(Box<redb::Error>),
}

impl OpenError {
    /// Whether what stands in the file is at fault.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            // Of the tables those that every database of this program has: a bit of the name or of
            // the type of one is another.
            Self::Storage(error) => matches!(
                **error,
                redb::Error::Corrupted(_)
                    | redb::Error::TableDoesNotExist(_)
                    | redb::Error::TableTypeMismatch { .. }
                    | redb::Error::TableIsMultimap(_)
                    | redb::Error::TypeDefinitionChanged { .. }
            ),
            _ => false,
        }
    }

    /// Whether the disk itself fails.
    #[must_use]
    pub(super) fn is_io_failure(&self) -> bool {
        let error = match self {
            Self::Io(error) => Some(error),
            Self::Storage(error) => match &**error {
                redb::Error::Io(error) => Some(error),
                _ => None,
            },
            _ => None,
        };
        error.and_then(io::Error::raw_os_error) == Some(EIO)
    }

    /// What the file system says, if that is at fault.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io(error) => Some(error.kind()),
            Self::Storage(error) => match &**error {
                redb::Error::Io(error) => Some(error.kind()),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk is too full.
    #[error("a copy needs {needed} bytes and the disk has {free} free")]
    NoRoom {
        /// What the copy may take.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// What is stored does not fit together.
    #[error("what is stored is not sound: {0}")]
    Unsound(String),
    /// A file failed.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

impl CopyError {
    /// Whether what is stored is at fault.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Unsound(_) => true,
            Self::Failed(error) => error.is_damage(),
            Self::NoRoom { .. } => false,
        }
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line does not fit.
    #[error("line {number}: {reason}")]
    Line {
        /// Its number, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Each line is sound, and together they are not.
    #[error("the lines do not fit together: {0}")]
    Unsound(String),
    /// The new file failed.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

/// Why a command stops in the middle of its transaction.
///
/// A refusal is that one caller's answer. A failure spoils the whole batch.
#[derive(Debug)]
pub enum CommandError {
    /// The caller alone is refused.
    Refused(Refusal),
    /// A record that the caller needs is damaged.
    Record(RecordError),
    /// The disk has hardly any room left, and the caller would need some.
    NoRoom,
    /// The database failed.
    Storage(Box<redb::Error>),
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {
        $(
            impl From<$error> for ReadError {
                fn from(error: $error) -> Self {
                    Self::Storage(Box::new(error.into()))
                }
            }

            impl From<$error> for CommandError {
                fn from(error: $error) -> Self {
                    Self::Storage(Box::new(error.into()))
                }
            }

            impl From<$error> for OpenError {
                fn from(error: $error) -> Self {
                    Self::Storage(Box::new(error.into()))
                }
            }
        )+
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let failed = || Box::new(redb::Error::Io(refused()));
        let errors: [anyhow::Error; 7] = [
            OpenError::Io(refused()).into(),
            OpenError::Storage(failed()).into(),
            CopyError::from(refused()).into(),
            CopyError::Failed(OpenError::Storage(failed())).into(),
            ImportError::Failed(OpenError::Io(refused())).into(),
            ImportError::Failed(OpenError::Storage(failed())).into(),
            ReadError::Storage(failed()).into(),
        ];
        for error in errors {
            // Its sources too, as a command shows it.
            let words = format!("{error:#}");
            assert_eq!(words.matches("permission denied").count(), 1, "{words}");
        }
    }

    #[test]
    fn damage_and_the_file_systems_word_are_known_however_they_come() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [
            OpenError::from(full()),
            OpenError::from(redb::StorageError::Io(full())),
        ] {
            assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull));
            assert!(!error.is_damage());
        }
        for error in [
            OpenError::Damaged("it is cut off".into()),
            OpenError::from(redb::StorageError::Corrupted("a page".into())),
        ] {
            assert_eq!(error.io_kind(), None);
            assert!(error.is_damage());
        }
        assert!(!OpenError::Foreign("it is empty".into()).is_damage());
    }
}
