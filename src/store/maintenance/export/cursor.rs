//! The position of an export.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::domain::archive::ArchivedKey;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::SubmittedError;

/// The position of an export.
#[derive(Debug, Default)]
pub struct ExportCursor {
    pub(super) only: Option<SessionId>,
    pub(super) user: Option<UserId>,
    /// Whether only the user's sessions with quarantined records are left.
    pub(super) is_in_quarantine: bool,
    /// The session that was exported last.
    pub(super) after: Option<SessionId>,
    /// Whether sessions are searched for in every table.
    pub(super) is_salvage: bool,
    /// The sessions that were found in this way.
    pub(super) found: BTreeSet<SessionId>,
    pub(super) current: Option<CurrentSession>,
    /// The unreadable places, one line each.
    pub(super) lost: Vec<String>,
    pub(super) is_done: bool,
}

/// The session that is being exported, as it was when its export began.
#[derive(Debug)]
pub(super) struct CurrentSession {
    pub(super) id: SessionId,
    /// Whether its own record could be read.
    pub(super) is_read: bool,
    /// The last message that was exported.
    pub(super) after: Timestamp,
    /// The last message of the session.
    pub(super) until: Timestamp,
    pub(super) turns: HashMap<Timestamp, OpenTurn>,
    pub(super) keys: HashMap<Timestamp, Vec<ArchivedKey>>,
    /// The submitted errors, by the newest message whose turn they closed.
    pub(super) errors: HashMap<Timestamp, Vec<SubmittedError>>,
    /// The quarantined messages.
    pub(super) quarantined: HashSet<Timestamp>,
    /// The replies to exported messages that were not exported yet.
    pub(super) awaited: HashSet<Timestamp>,
}

impl ExportCursor {
    /// Starts an export of everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Starts an export of a damaged database. Sessions are searched for in every table, since a
    /// flipped bit of a key hides the rows after it.
    #[must_use]
    pub fn salvage() -> Self {
        Self {
            is_salvage: true,
            ..Self::default()
        }
    }

    /// Starts an export of one session.
    #[must_use]
    pub fn only(session: SessionId) -> Self {
        Self {
            only: Some(session),
            ..Self::default()
        }
    }

    /// Starts an export of a user's sessions.
    #[must_use]
    pub fn of_user(user: UserId) -> Self {
        Self {
            user: Some(user),
            ..Self::default()
        }
    }

    /// Whether everything was exported.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns the unreadable places since the last call, one line each.
    pub fn take_lost(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lost)
    }
}
