//! Backups and exports of a running server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::application::App;
use super::error::{AppError, Unavailable};
use crate::archive;
use crate::domain::error::RuleViolation;
use crate::domain::id::{SessionId, UserId};
use crate::store::command::RecordBackup;
use crate::store::error::{CopyError, RECOVERY_HINT};
use crate::store::{ExportCursor, LastBackup, StoredBackup};

/// How many rows of an export are read and written at once.
const EXPORT_SLICE: usize = 500;

/// A copy of the database. Dropping it deletes its file.
#[derive(Debug)]
pub struct BackupFile {
    app: Arc<App>,
    copy: StoredBackup,
    /// Lets the next backup start when this one is dropped.
    _permit: OwnedSemaphorePermit,
}

/// What is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportSelection {
    /// Everything.
    All,
    /// The session with this id, which is unchecked.
    Session(String),
    /// The sessions of a user.
    User(UserId),
}

/// An export that is being written.
#[derive(Debug)]
pub struct Export {
    app: Arc<App>,
    cursor: ExportCursor,
    /// Whether a record could not be read.
    is_partial: bool,
}

impl App {
    /// Creates a consistent, verified copy of the database without blocking other requests. If the
    /// caller disconnects, the copy still completes before another one starts.
    ///
    /// # Errors
    /// A backup is already running, the disk is full or fails, or the database is damaged.
    pub async fn backup(self: &Arc<Self>) -> Result<BackupFile, AppError> {
        let permit = Arc::clone(&self.backups).try_acquire_owned();
        let permit = permit.map_err(|_| AppError::Unavailable(Unavailable::Overloaded))?;
        let app = Arc::clone(self);
        self.run_detached(async move {
            let copied = app.store.backup(app.now()).await;
            let copy = copied.map_err(|error| app.backup_failed(&error))?;
            tracing::info!(bytes = copy.length(), "created a backup");
            Ok(BackupFile {
                app,
                copy,
                _permit: permit,
            })
        })
        .await
    }

    /// Writes the same copy to a new file, after a backup that is running.
    ///
    /// # Errors
    /// The disk is full or fails, the database is damaged, or the file exists. The error is logged
    /// and counted.
    pub async fn backup_to(self: &Arc<Self>, file: PathBuf) -> Result<(), AppError> {
        let permit = Arc::clone(&self.backups).acquire_owned().await;
        let permit = permit.map_err(|_| AppError::Internal)?;
        let app = Arc::clone(self);
        self.run_detached(async move {
            let _permit = permit;
            let shown = file.display().to_string();
            let copied = app.store.backup_to(file, app.now()).await;
            let bytes = copied.map_err(|error| app.backup_failed(&error))?;
            tracing::info!(file = shown, bytes, "created a backup");
            app.record_backup(bytes).await;
            Ok(())
        })
        .await
    }

    async fn record_backup(&self, bytes: u64) {
        let at = self.now();
        let recorded = self.store.submit(RecordBackup(LastBackup { at, bytes }));
        if let Err(error) = recorded.await {
            tracing::warn!(%error, "the time of the backup could not be recorded");
        }
    }

    fn backup_failed(&self, error: &CopyError) -> AppError {
        self.metrics.backup_failures.inc();
        if error.is_damage() {
            tracing::error!(
                %error,
                "no backup was created; once the server is stopped, {RECOVERY_HINT}"
            );
        } else {
            tracing::error!(%error, "no backup was created");
        }
        match error {
            CopyError::NoRoom { .. } => AppError::Unavailable(Unavailable::NoSpace),
            CopyError::Unsound(_) | CopyError::Failed(_) => AppError::Internal,
        }
    }

    /// Starts an export.
    ///
    /// # Errors
    /// Nothing is stored of the selected session, or the store fails.
    pub async fn export(self: &Arc<Self>, selection: ExportSelection) -> Result<Export, AppError> {
        let cursor = match &selection {
            ExportSelection::All => ExportCursor::all(),
            ExportSelection::User(user) => ExportCursor::of_user(*user),
            ExportSelection::Session(path) => {
                let id =
                    SessionId::parse(path).ok_or_else(|| AppError::UnknownSession(path.clone()))?;
                // A session of which only quarantined records are left can be exported too.
                let mut first = ExportCursor::only(id);
                if self
                    .store
                    .export(&mut first, 1, self.now())
                    .await?
                    .is_empty()
                {
                    return Err(RuleViolation::SessionNotFound(id).into());
                }
                ExportCursor::only(id)
            }
        };
        Ok(Export {
            app: Arc::clone(self),
            cursor,
            is_partial: false,
        })
    }
}

impl BackupFile {
    /// Returns the length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.copy.length()
    }

    /// Reads up to `length` bytes at `offset`. Reading the last byte records the backup.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.copy.read(offset, length).await?;
        if offset + length as u64 >= self.length() {
            self.app.record_backup(self.length()).await;
        }
        Ok(bytes)
    }
}

impl Export {
    /// Returns the next lines; `None` at the end.
    ///
    /// # Errors
    /// The store fails; or, at the end, a record could not be read, so that a partial export is not
    /// mistaken for a complete one.
    pub async fn next_lines(&mut self) -> Result<Option<String>, AppError> {
        if self.cursor.is_done() {
            return if self.is_partial {
                Err(AppError::Internal)
            } else {
                Ok(None)
            };
        }
        let (cursor, now) = (&mut self.cursor, self.app.now());
        let read = self.app.store.export(cursor, EXPORT_SLICE, now).await;
        for place in self.cursor.take_lost() {
            tracing::error!(%place, "the export leaves out a record that cannot be read");
            self.is_partial = true;
        }
        Ok(Some(read?.iter().map(archive::line).collect()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::agents::registry::Registry;
    use crate::auth::rate::{RateLimits, Rates};
    use crate::clock::Clock;
    use crate::events::EventBus;
    use crate::settings::{Config, Layers};
    use crate::store::Store;

    #[tokio::test]
    async fn a_backup_completes_before_the_next_one_even_if_its_caller_disconnects() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessiond.redb");
        let config = Config::read(Layers::default()).unwrap();
        let (clock, events) = (Clock::system(), EventBus::default());
        let opened = Store::open(&path, 1 << 20, config.rules, clock.clone(), events.clone());
        let (store, _) = opened.unwrap();
        let limits = RateLimits::new(Rates::default(), &clock);
        let agents = Registry::new(Vec::new());
        let app = Arc::new(App::new(Arc::new(store), agents, events, limits, clock));
        assert!(app.backup().now_or_never().is_none(), "copying takes time");
        let next = app.backup().await;
        assert!(matches!(
            next,
            Err(AppError::Unavailable(Unavailable::Overloaded))
        ));
        app.tasks.close();
        app.tasks.wait().await;
        assert!(app.backup().await.is_ok());
    }
}
