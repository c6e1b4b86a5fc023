//! A guard against redb's panics on inconsistent pages (its issues 1303 and 1333).

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use redb::{Database, WriteTransaction};
use tracing::Level;

use super::database::begin_write;
use crate::store::error::OpenError;

thread_local! {
    /// The level at which panics of this thread are logged; without a guard, none.
    static GUARD: Cell<Option<Level>> = const { Cell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `work`; returns none if it panicked. Panics are logged at the debug level, since a search
/// through a damaged file may cause hundreds of them.
pub(crate) fn catch_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch(Level::DEBUG, work)
}

/// Like [`catch_panic`], but logs an error: in a running server a panic is new damage, or a bug.
pub(crate) fn catch_and_log_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch(Level::ERROR, work)
}

/// Runs work on a file, and reports a panic as damage.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let damaged = || OpenError::Damaged("it is truncated or inconsistent".into());
    catch_panic(work).unwrap_or_else(|| Err(damaged()))
}

fn catch<T>(level: Level, work: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(install_hook);
    let outer = GUARD.replace(Some(level));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARD.set(outer);
    result.ok()
}

/// Logs panics under a guard instead of printing them; other panics are not affected.
fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match GUARD.get() {
        None => previous(panic),
        Some(Level::ERROR) => tracing::error!(%panic, "the store panicked"),
        Some(_) => tracing::debug!(%panic, "redb panicked"),
    }));
}

/// A database that may be damaged. After a panic has interrupted it, dropping it may panic again.
#[derive(Debug)]
pub(crate) struct PanicSafe(Option<Database>);

impl PanicSafe {
    pub(crate) fn new(database: Database) -> Self {
        Self(Some(database))
    }

    pub(crate) fn get(&self) -> Result<&Database, OpenError> {
        Ok(self.0.as_ref().ok_or(redb::Error::DatabaseClosed)?)
    }

    pub(crate) fn get_mut(&mut self) -> Result<&mut Database, OpenError> {
        Ok(self.0.as_mut().ok_or(redb::Error::DatabaseClosed)?)
    }

    /// Runs `work` in a durable transaction of its own, which is committed unless `work` fails.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, OpenError>,
    ) -> Result<T, OpenError> {
        guard(|| {
            let txn = begin_write(self.get()?)?;
            let result = work(&txn)?;
            txn.commit()?;
            Ok(result)
        })
    }

    /// Closes the database and reports errors, which dropping it would hide.
    pub(crate) fn close(self) -> Result<(), OpenError> {
        let database = self.into_inner()?;
        catch_panic(|| Ok(database.close()?))
            .unwrap_or_else(|| Err(OpenError::Damaged("it cannot be closed".into())))
    }

    /// Returns the database without the guard, once it has proved readable.
    pub(crate) fn into_inner(mut self) -> Result<Database, OpenError> {
        Ok(self.0.take().ok_or(redb::Error::DatabaseClosed)?)
    }
}

impl Drop for PanicSafe {
    fn drop(&mut self) {
        let database = self.0.take();
        let _ = catch_panic(|| drop(database));
    }
}
