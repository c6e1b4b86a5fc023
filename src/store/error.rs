//! Errors of the store.

use std::io;

use super::schema::record::RecordError;
use crate::domain::error::RuleViolation;
use crate::domain::id::SessionId;

/// What to do about a damaged database.
pub const RECOVERY_HINT: &str = "`sessiond restore --force FILE` puts a backup in its place; without one, \
                          `sessiond export` prints what can still be read, and `sessiond import` \
                          creates a database from that in an empty directory, which --data-dir or \
                          DATA_DIR selects";

pub(crate) type ReadResult<T> = Result<T, ReadError>;

pub(crate) type CommandResult<T> = Result<T, CommandError>;

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database failed to read.
    // Not a `source`: the message contains it already, and a caller that prints the sources would
    // print it twice.
    #[error("the database cannot be read: {0}")]
    Storage(Box<redb::Error>),
    /// The database is closed or being reopened.
    #[error("the database is not open")]
    Closed,
    /// The requested record is damaged.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rules refuse it; nothing was written.
    #[error("refused: {0:?}")]
    Refused(RuleViolation),
    /// The queue is full; nothing was written.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The store is closing; nothing was written.
    #[error("the store is closed")]
    Closed,
    /// The database failed before the commit; nothing was written.
    #[error("the database failed")]
    Storage,
    /// The disk has hardly any free space left; nothing was written.
    #[error("the disk is nearly full")]
    NoRoom,
    /// The commit failed: it may or may not be on disk.
    #[error("the commit failed, its outcome is unknown")]
    OutcomeUnknown,
    /// A record that the command needs is damaged; nothing was written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why a database file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has locked it.
    #[error("another process has the database open")]
    InUse,
    /// A newer version of this program wrote it.
    #[error(
        "the database has schema version {found}, and this version of sessiond reads up to \
         {known}; run the newer sessiond that wrote it. Nothing was changed"
    )]
    Newer {
        /// The schema version of the file.
        found: u32,
        /// The newest schema version that this build reads.
        known: u32,
    },
    /// It is not a database of this program.
    #[error("the file is not a sessiond database ({0}). Nothing was changed")]
    Foreign(String),
    /// It is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database failed in another way.
    #[error("the database cannot be opened: {0}")]
    Storage(Box<redb::Error>),
}

impl OpenError {
    /// Whether the content of the file is at fault.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            // Every database of this program has the same tables: a missing one, or one of another
            // type, is a flipped bit in the page that names it.
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

    /// Whether the disk itself failed.
    pub(super) fn is_io_failure(&self) -> bool {
        let errno = self.io_error().and_then(io::Error::raw_os_error);
        errno == Some(rustix::io::Errno::IO.raw_os_error())
    }

    /// Returns the kind of the I/O error, if it is one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.io_error().map(io::Error::kind)
    }

    fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Io(error) => Some(error),
            Self::Storage(error) => match &**error {
                redb::Error::Io(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Why a copy was not created.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk is too full.
    #[error("a copy needs {needed} bytes and the disk has {free} free")]
    NoRoom {
        /// The most bytes that the copy can take.
        needed: u64,
        /// The free bytes on the disk.
        free: u64,
    },
    /// The stored data is inconsistent.
    #[error("what is stored is not sound: {0}")]
    Unsound(String),
    /// A file failed.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

impl CopyError {
    /// Whether the stored data is at fault.
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
    /// A line is invalid.
    #[error("line {number}: {reason}")]
    Line {
        /// The line's number, from 1.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The session of a line is stored already, or its messages are still being removed.
    #[error("line {number}: session {session_id} exists already")]
    Exists {
        /// The line's number, from 1.
        number: u64,
        /// The session.
        session_id: SessionId,
    },
    /// Each line is valid, but together they are inconsistent.
    #[error("the lines do not fit together: {0}")]
    Unsound(String),
    /// A file failed.
    #[error(transparent)]
    Failed(#[from] OpenError),
}

/// Why a command stopped in the middle of its transaction.
///
/// Every variant but `Storage` concerns one caller; a storage error fails the whole batch.
#[derive(Debug)]
pub enum CommandError {
    /// The rules refuse the command.
    Refused(RuleViolation),
    /// A record that the command needs is damaged.
    Record(RecordError),
    /// The disk has hardly any free space left, and the command would need some.
    NoRoom,
    /// The database failed.
    Storage(Box<redb::Error>),
}

impl CommandError {
    /// Turns the error into one that fails the whole batch.
    pub(super) fn into_storage(self) -> Box<redb::Error> {
        match self {
            Self::Storage(error) => error,
            other => {
                let error = redb::StorageError::Corrupted(format!("{other:?}"));
                Box::new(error.into())
            }
        }
    }
}

impl From<RuleViolation> for CommandError {
    fn from(refusal: RuleViolation) -> Self {
        Self::Refused(refusal)
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => Self::Storage(error),
            ReadError::Closed => redb::Error::DatabaseClosed.into(),
            ReadError::Record(error) => Self::Record(error),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        CommandError::from(error).into()
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Storage(error) => Self::Storage(error),
            other => redb::StorageError::Corrupted(other.to_string()).into(),
        }
    }
}

impl From<ImportError> for CommandError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Failed(error) => error.into(),
            other => redb::StorageError::Corrupted(other.to_string()).into(),
        }
    }
}

impl From<CommandError> for OpenError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Storage(error) => Self::Storage(error),
            CommandError::Record(error) => Self::Damaged(error.to_string()),
            other => Self::Damaged(format!("{other:?}")),
        }
    }
}

impl From<CommandError> for ImportError {
    fn from(error: CommandError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<redb::DatabaseError> for OpenError {
    fn from(error: redb::DatabaseError) -> Self {
        use redb::{DatabaseError, StorageError};

        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::Storage(StorageError::Corrupted(reason)) => Self::Damaged(reason),
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                Self::Foreign("it has no redb header".into())
            }
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Self::Damaged("it is truncated".into())
            }
            other => redb::Error::from(other).into(),
        }
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
    redb::Error,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::CompactionError
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_repeats_its_source() {
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
            // With its sources, as the command line prints it.
            let words = format!("{error:#}");
            assert_eq!(words.matches("permission denied").count(), 1, "{words}");
        }
    }

    #[test]
    fn damage_and_io_errors_are_recognized_in_every_variant() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [
            OpenError::from(full()),
            OpenError::from(redb::StorageError::Io(full())),
        ] {
            assert_eq!(error.io_kind(), Some(io::ErrorKind::StorageFull));
            assert!(!error.is_damage());
        }
        for error in [
            OpenError::Damaged("it is truncated".into()),
            OpenError::from(redb::StorageError::Corrupted("a page".into())),
        ] {
            assert_eq!(error.io_kind(), None);
            assert!(error.is_damage());
        }
        assert!(!OpenError::Foreign("it is empty".into()).is_damage());
    }
}
