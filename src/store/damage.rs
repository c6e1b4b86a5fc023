//! Which sessions have records that cannot be decoded.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::record::RecordError;
use crate::domain::id::SessionId;

/// More sessions than this are not told apart.
const MAX_SESSIONS: usize = 100_000;

/// The damage met with so far: each session is logged once and counted once.
#[derive(Debug, Default)]
pub(super) struct Damage {
    sessions: Mutex<HashSet<SessionId>>,
}

impl Damage {
    pub(super) fn note(&self, session: SessionId, error: &RecordError) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() < MAX_SESSIONS && sessions.insert(session) {
            tracing::error!(%session, %error, "a stored record is damaged and is skipped");
        }
    }

    pub(super) fn sessions(&self) -> u64 {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64
    }
}
