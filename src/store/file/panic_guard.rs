//! A shield against redb's panics on pages that make no sense (its issues 1303 and 1333).

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use redb::Database;

use super::open::database_error;
use crate::store::error::OpenError;

thread_local! {
    /// The shield that this thread is within.
    static SHIELD: Cell<Shield> = const { Cell::new(Shield::None) };
}

/// Who hears of a panic.
#[derive(Debug, Clone, Copy)]
enum Shield {
    /// Standard error: there is no shield.
    None,
    /// The log, at its lowest level.
    Quiet,
    /// The log, as an error.
    Told,
}

static HOOK: Once = Once::new();

/// What `work` gives; none where it panicked. Of that the log hears at its lowest level alone:
/// whoever tries one place of a damaged file after the other may meet hundreds.
pub(in crate::store) fn shielded<T>(work: impl FnOnce() -> T) -> Option<T> {
    within(Shield::Quiet, work)
}

/// The same; the log hears of a panic as an error, with its place: in a running server it is damage
/// that nobody knows of yet, or a bug.
pub(in crate::store) fn shielded_and_told<T>(work: impl FnOnce() -> T) -> Option<T> {
    within(Shield::Told, work)
}

fn within<T>(shield: Shield, work: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(hush);
    let outer = SHIELD.replace(shield);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    SHIELD.set(outer);
    done.ok()
}

/// Keeps the panics within shields from standard error; all others go their way.
fn hush() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match SHIELD.get() {
        Shield::None => others(panic),
        Shield::Quiet => tracing::debug!(%panic, "redb panicked"),
        Shield::Told => tracing::error!(%panic, "the store panicked"),
    }));
}

/// A database that may be damaged. Where a panic has left it half-way, to close it is one more.
#[derive(Debug)]
pub(in crate::store) struct PanicSafe(Option<Database>);

impl PanicSafe {
    pub(in crate::store) fn new(database: Database) -> Self {
        Self(Some(database))
    }

    pub(in crate::store) fn get(&self) -> Result<&Database, OpenError> {
        self.0.as_ref().ok_or_else(closed)
    }

    pub(in crate::store) fn get_mut(&mut self) -> Result<&mut Database, OpenError> {
        self.0.as_mut().ok_or_else(closed)
    }

    /// Closes the database; what dropping it would hide is an error.
    ///
    /// # Errors
    /// The disk fails, or the database is damaged.
    pub(in crate::store) fn close(self) -> Result<(), OpenError> {
        let database = self.into_inner()?;
        shielded(|| database.close().map_err(database_error))
            .unwrap_or_else(|| Err(OpenError::Damaged("it cannot be closed".into())))
    }

    /// The database, of which it is known by now that it can be read.
    pub(in crate::store) fn into_inner(mut self) -> Result<Database, OpenError> {
        self.0.take().ok_or_else(closed)
    }
}

impl Drop for PanicSafe {
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = shielded(|| drop(database));
    }
}

fn closed() -> OpenError {
    OpenError::Storage(Box::new(redb::Error::DatabaseClosed))
}
