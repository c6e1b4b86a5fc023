//! Where a record is: its owner and its kind.

use std::fmt;

use crate::domain::id::{SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::time::Timestamp;

/// The owner of records whose session is not known.
pub(crate) const UNKNOWN_OWNER: SessionId = SessionId(uuid::Uuid::nil());

/// A record's owner, which is [`UNKNOWN_OWNER`] for the key of a create, and its location.
pub(crate) type RecordRef = (SessionId, RecordLocation);

/// A record of an owner. It is displayed as the key of a quarantined record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RecordLocation {
    Session,
    /// The message that was stored at a time.
    Message(Timestamp),
    Turn(u32),
    Key(KeyKind, IdempotencyKey),
    RemoteSession,
    /// The idempotency key of a create. The session that it created is not known.
    CreateKey(UserId, IdempotencyKey),
}

/// The kinds of a session's idempotency keys. The same key may be used once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    Send,
    Submit,
}

impl KeyKind {
    /// Returns the location of a key, which need not be a valid key.
    pub(crate) fn location(self, name: &str) -> String {
        match self {
            Self::Send => format!("message_key {name}"),
            Self::Submit => format!("submit_key {name}"),
        }
    }
}

impl RecordLocation {
    /// Returns what the locations of a user's create keys begin with.
    pub(crate) fn create_keys_of(user: UserId) -> String {
        format!("create_key {user} ")
    }

    /// Parses the location of an idempotency key; `None` for another record.
    pub(crate) fn parse_key(location: &str) -> Option<Self> {
        let (table, name) = location.split_once(' ')?;
        let kind = match table {
            "message_key" => KeyKind::Send,
            "submit_key" => KeyKind::Submit,
            "create_key" => {
                let (user, key) = name.split_once(' ')?;
                let user = UserId::parse(user)?;
                return Some(Self::CreateKey(user, IdempotencyKey::parse(key)?));
            }
            _ => return None,
        };
        Some(Self::Key(kind, IdempotencyKey::parse(name)?))
    }

    /// Returns the time of the message at a location, if it is a message's.
    pub(crate) fn message_time(location: &str) -> Option<Timestamp> {
        let at = location.strip_prefix("message ")?;
        at.parse().ok().map(Timestamp)
    }
}

impl fmt::Display for RecordLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("session"),
            Self::Message(at) => write!(f, "message {}", at.0),
            Self::Turn(position) => write!(f, "turn {position}"),
            Self::Key(kind, key) => f.write_str(&kind.location(key.as_str())),
            Self::RemoteSession => f.write_str("upstream"),
            Self::CreateKey(user, key) => {
                write!(f, "{}{}", Self::create_keys_of(*user), key.as_str())
            }
        }
    }
}
