//! Which records cannot be decoded: those that are set aside, and those that wait for it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::time::Timestamp;
use crate::store::schema::record::RecordError;

/// More sessions than this are not told apart.
const MAX_SESSIONS: usize = 100_000;

/// More records than this do not wait at once; the others are met again.
pub(in crate::store) const MAX_WAITING: usize = 500;

/// A record, as its owner knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum RecordLocation {
    /// The session itself.
    Session,
    /// The message of a time.
    Message(Timestamp),
    /// The open turn at a position.
    Turn(u32),
    /// The key of a message.
    Key(KeyKind, IdempotencyKey),
    /// What the server behind the agent calls the session.
    Upstream,
    /// The key of a create. Whose session it named is not known.
    CreateKey(UserId, IdempotencyKey),
}

/// What a session's key was used for: one of each may be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum KeyKind {
    /// A message that was sent.
    Send,
    /// A reply that was submitted.
    Submit,
}

impl KeyKind {
    /// The place of a key, whatever it is called.
    pub(in crate::store) fn place(self, name: &str) -> String {
        match self {
            Self::Send => format!("message_key {name}"),
            Self::Submit => format!("submit_key {name}"),
        }
    }
}

/// A record and its owner, which is nil for the key of a create.
pub(in crate::store) type Place = (SessionId, RecordLocation);

/// The owner of the records whose session is not known.
pub(in crate::store) const NOBODY: SessionId = SessionId(uuid::Uuid::nil());

impl RecordLocation {
    /// The time of the message that is set aside under a key, if it is one.
    pub(in crate::store) fn message_of(place: &str) -> Option<Timestamp> {
        let at = place.strip_prefix("message ")?;
        at.parse().ok().map(Timestamp)
    }
}

impl fmt::Display for RecordLocation {
    /// The key under which the record is set aside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::Message(at) => write!(f, "message {}", at.0),
            Self::Turn(position) => write!(f, "turn {position}"),
            Self::Key(of, key) => f.write_str(&of.place(key.as_str())),
            Self::Upstream => f.write_str("upstream"),
            Self::CreateKey(user, key) => write!(f, "create_key {user} {}", key.as_str()),
        }
    }
}

/// The damage met with so far: each session is logged once and counted once.
#[derive(Debug, Default)]
pub(in crate::store) struct Quarantine(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    sessions: HashSet<SessionId>,
    waiting: HashSet<Place>,
}

impl Quarantine {
    /// Notes a record that cannot be decoded. The writer sets it aside.
    pub(in crate::store) fn note(
        &self,
        session: SessionId,
        spot: RecordLocation,
        error: &RecordError,
    ) {
        if *error == RecordError::Quarantined {
            return;
        }
        let mut met = self.met();
        if met.waiting.len() < MAX_WAITING {
            met.waiting.insert((session, spot));
        }
        if met.sessions.len() < MAX_SESSIONS && met.sessions.insert(session) {
            tracing::error!(%session, %error, "a stored record is damaged");
        }
    }

    /// Notes a record that a verification found to be undecodable, with what it says of it.
    pub(in crate::store) fn note_found(
        &self,
        session: SessionId,
        spot: &RecordLocation,
        fault: &str,
    ) {
        let mut met = self.met();
        if met.waiting.len() < MAX_WAITING {
            met.waiting.insert((session, spot.clone()));
        }
        if met.sessions.len() < MAX_SESSIONS && met.sessions.insert(session) {
            tracing::error!(%session, %fault, "a stored record is damaged");
        }
    }

    /// Whether a record waits to be set aside.
    pub(in crate::store) fn has_waiting(&self) -> bool {
        !self.met().waiting.is_empty()
    }

    /// The records that wait, which from now on do not.
    pub(in crate::store) fn take_waiting(&self) -> Vec<Place> {
        self.met().waiting.drain().collect()
    }

    /// Notes whose records are set aside, and who has none any more.
    pub(in crate::store) fn settle(&self, damaged: &[SessionId], sound: &[SessionId]) {
        if damaged.is_empty() && sound.is_empty() {
            return;
        }
        let mut met = self.met();
        for session in sound {
            met.sessions.remove(session);
        }
        for session in damaged {
            if met.sessions.len() < MAX_SESSIONS {
                met.sessions.insert(*session);
            }
        }
    }

    pub(in crate::store) fn sessions(&self) -> u64 {
        self.met().sessions.len() as u64
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
