//! The undecodable records that are known: quarantined ones, and those still to be quarantined.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::location::{RecordLocation, RecordRef};
use crate::domain::id::SessionId;
use crate::store::schema::record::RecordError;

/// The most sessions that are counted.
const MAX_SESSIONS: usize = 100_000;

/// The most pending records; further ones are noted when they are read again.
pub(crate) const MAX_PENDING: usize = 500;

/// The known damage. Each session is logged once and counted once.
#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    sessions: HashSet<SessionId>,
    pending: HashSet<RecordRef>,
}

impl Quarantine {
    /// Notes a record that cannot be decoded; the writer will quarantine it.
    pub(crate) fn note(&self, owner: SessionId, location: RecordLocation, error: &RecordError) {
        if *error != RecordError::Quarantined {
            self.add(owner, location, error);
        }
    }

    /// Passes on what was decoded; notes the record if that failed.
    pub(crate) fn inspect<T>(
        &self,
        owner: SessionId,
        location: impl FnOnce() -> RecordLocation,
        decoded: Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        decoded.inspect_err(|error| self.note(owner, location(), error))
    }

    /// Like [`Self::note`], for the result of a verification.
    pub(crate) fn add(
        &self,
        session: SessionId,
        location: RecordLocation,
        error: &impl fmt::Display,
    ) {
        let mut known = self.known();
        if known.pending.len() < MAX_PENDING {
            known.pending.insert((session, location));
        }
        if known.sessions.len() < MAX_SESSIONS && known.sessions.insert(session) {
            tracing::error!(%session, %error, "a stored record is damaged");
        }
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.known().pending.is_empty()
    }

    pub(crate) fn take_pending(&self) -> Vec<RecordRef> {
        self.known().pending.drain().collect()
    }

    /// Adds the sessions with quarantined records, and removes those that have none left.
    pub(crate) fn update(&self, damaged: &[SessionId], sound: &[SessionId]) {
        if damaged.is_empty() && sound.is_empty() {
            return;
        }
        let mut known = self.known();
        for session in sound {
            known.sessions.remove(session);
        }
        for session in damaged {
            if known.sessions.len() < MAX_SESSIONS {
                known.sessions.insert(*session);
            }
        }
    }

    pub(crate) fn session_count(&self) -> u64 {
        self.known().sessions.len() as u64
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
