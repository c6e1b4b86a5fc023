//! What an operator asks of a running server.

use std::io;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::App;
use super::error::{AppError, Unavailable};
use crate::archive;
use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::store::command::RecordBackup;
use crate::store::error::{CopyError, REMEDY};
use crate::store::{Cursor, LastBackup, StoredBackup};

/// How many rows of an export are read, written out and forgotten at once.
const EXPORT_SLICE: usize = 500;

/// A copy of the database. Where it is let go, its file is gone.
#[derive(Debug)]
pub struct Backup {
    app: Arc<App>,
    copy: StoredBackup,
    /// The next one begins when this one is let go.
    _turn: OwnedSemaphorePermit,
}

/// An export that is being written out.
#[derive(Debug)]
pub struct Export {
    app: Arc<App>,
    cursor: Cursor,
    /// Whether something could not be read.
    is_partial: bool,
}

impl App {
    /// Makes a consistent, checked copy of the database. Nobody waits for that but the caller; where
    /// the caller goes away, the copy is ended all the same before another one begins.
    ///
    /// # Errors
    /// One is being made, the disk has no room for it or fails, or what is stored is not sound.
    pub async fn backup(self: &Arc<Self>) -> Result<Backup, AppError> {
        let turn = Arc::clone(&self.backups).try_acquire_owned();
        let turn = turn.map_err(|_| AppError::Unavailable(Unavailable::Overloaded))?;
        let app = Arc::clone(self);
        let copying = async move {
            let copied = app.store.backup(app.now()).await;
            let copy = copied.map_err(|error| copy_error(&error))?;
            tracing::info!(bytes = copy.length(), "made a backup");
            Ok(Backup {
                app,
                copy,
                _turn: turn,
            })
        };
        let copied = self.tasks.spawn(copying.in_current_span()).await;
        copied.map_err(|_| AppError::Internal)?
    }

    /// An export of all sessions, or of one.
    ///
    /// # Errors
    /// There is no such session, or the store fails.
    pub async fn export(self: &Arc<Self>, session: Option<&str>) -> Result<Export, AppError> {
        let cursor = match session {
            None => Cursor::all(),
            Some(path) => {
                let id = SessionId::parse(path)
                    .ok_or_else(|| AppError::UnknownSession(path.to_owned()))?;
                self.require_stored(id).await?;
                Cursor::only(id)
            }
        };
        Ok(Export {
            app: Arc::clone(self),
            cursor,
            is_partial: false,
        })
    }

    /// Lets an id pass of which anything is stored, be it damaged.
    async fn require_stored(&self, id: SessionId) -> Result<(), AppError> {
        let mut cursor = Cursor::only(id);
        let now = self.now();
        let items = self.store.export(&mut cursor, 1, now).await?;
        if items.is_empty() {
            return Err(Refusal::SessionNotFound(id).into());
        }
        Ok(())
    }
}

impl Backup {
    /// How long it is.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.copy.length()
    }

    /// A piece of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let bytes = self.copy.read(offset, length).await?;
        if offset + length as u64 >= self.length() {
            self.record().await;
        }
        Ok(bytes)
    }

    /// Notes that it was made and is about to be fetched whole.
    async fn record(&self) {
        let backup = LastBackup {
            at: self.app.now(),
            bytes: self.length(),
        };
        if let Err(error) = self.app.store.submit(RecordBackup(backup)).await {
            tracing::warn!(%error, "the backup is not recorded");
        }
    }
}

impl Export {
    /// The next lines; none at the end.
    ///
    /// # Errors
    /// The store fails; or, at the end, something of it could not be read, so that nobody takes
    /// the lines for all that there are.
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
            tracing::error!(%place, "the export leaves out what cannot be read");
            self.is_partial = true;
        }
        Ok(Some(read?.iter().map(archive::line).collect()))
    }
}

fn copy_error(error: &CopyError) -> AppError {
    if error.is_damage() {
        tracing::error!(%error, "no backup was made; once the server is stopped, {REMEDY}");
    } else {
        tracing::error!(%error, "no backup was made");
    }
    match error {
        CopyError::NoRoom { .. } => AppError::Unavailable(Unavailable::NoSpace),
        CopyError::Unsound(_) | CopyError::Failed(_) => AppError::Internal,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::agents::registry::Registry;
    use crate::auth::rate::{Limits, Rates};
    use crate::clock::Clock;
    use crate::events::EventBus;
    use crate::settings::{Config, Layers};
    use crate::store::Store;

    #[tokio::test]
    async fn a_backup_whose_caller_goes_away_is_ended_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessiond.redb");
        let config = Config::read(Layers::default()).unwrap();
        let (clock, events) = (Clock::system(), EventBus::default());
        let opened = Store::open(&path, 1 << 20, config.rules, clock.clone(), events.clone());
        let (store, _) = opened.unwrap();
        let limits = Limits::new(Rates::default(), &clock);
        let agents = Registry::new(Vec::new());
        let app = Arc::new(App::new(Arc::new(store), agents, events, limits, clock));
        assert!(app.backup().now_or_never().is_none(), "it takes a while");
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
