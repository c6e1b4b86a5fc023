//! Importing sessions.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use super::application::App;
use super::error::{AppError, Unavailable, ValidationError};
use crate::archive::{Lines, within_bounds};
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::store::Imported;
use crate::store::command::ImportSessions;
use crate::store::error::ImportError;
use crate::store::maintenance::import::VerifiedImport;

/// The most lines of an import.
pub const MAX_IMPORTED_LINES: usize = 10_000;

/// The right to import: no other import starts before this is dropped.
#[derive(Debug)]
pub struct ImportSlot {
    app: Arc<App>,
    permit: OwnedSemaphorePermit,
}

impl App {
    /// Begins an import, before its lines are received.
    ///
    /// # Errors
    /// Another import is running.
    pub fn begin_import(self: &Arc<Self>) -> Result<ImportSlot, AppError> {
        let permit = Arc::clone(&self.imports).try_acquire_owned();
        let permit = permit.map_err(|_| AppError::Unavailable(Unavailable::Overloaded))?;
        let app = Arc::clone(self);
        Ok(ImportSlot { app, permit })
    }
}

impl ImportSlot {
    /// Imports the lines of an export in one transaction, even if the caller disconnects. Their
    /// open turns are resumed as at a start.
    ///
    /// # Errors
    /// A line is invalid, its session exists, or the store fails. Nothing is imported then.
    pub async fn import(
        self,
        lines: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Imported, AppError> {
        let Self { app, permit } = self;
        let runner = Arc::clone(&app);
        runner
            .run_detached(async move {
                let _permit = permit;
                let (rules, now) = (*app.store.rules(), app.now());
                let verified = spawn_blocking(move || verify(lines.as_ref(), &rules, now)).await;
                let verified = verified.map_err(|_| AppError::Internal)??;
                let done = app.store.submit(ImportSessions(verified)).await?;
                for session in done.with_open_turns {
                    app.runner.wake(session);
                }
                let Imported {
                    sessions, messages, ..
                } = done.imported;
                tracing::info!(sessions, messages, "imported sessions");
                Ok(done.imported)
            })
            .await
    }
}

/// Imports the lines into memory, which finds everything that is wrong with them.
fn verify(lines: &[u8], rules: &Rules, now: Timestamp) -> Result<VerifiedImport, AppError> {
    let mut lines = within_bounds(Lines::new(lines), now);
    let verified = VerifiedImport::in_memory(&mut lines, rules, now);
    verified.map_err(|error| match error {
        ImportError::Line { .. } | ImportError::Unsound(_) | ImportError::Exists { .. } => {
            ValidationError::Body(error.to_string()).into()
        }
        ImportError::Failed(error) => {
            tracing::error!(%error, "an import failed in memory");
            AppError::Internal
        }
    })
}
