//! The on-disk contract: every table, every key. What a value holds stands in `record.rs`.
//!
//! Ids are `UUIDv7` as `u128`, so that new rows land at a tree's right edge. Times are
//! milliseconds since the epoch as `i64`. Each value is framed as `[version][crc32][bincode]`;
//! an index row's value is empty.
//!
//! | table | holds one row for |
//! |---|---|
//! | `sessions` | each kept session, active or expired |
//! | `deadlines` | each kept session, by the instants of its warning and its expiry |
//! | `user_sessions` | each kept session, under its user |
//! | `create_keys` | each idempotency key of a user's creates |
//! | `messages` | each message, in the order of its session |
//! | `message_keys` | each idempotency key of a session's messages |
//! | `submit_keys` | each idempotency key of a session's submitted replies |
//! | `upstreams` | each session that another server keeps a session for |
//! | `open_turns` | each turn that waits for its reply, in the order of running |
//! | `deletions` | each deleted session whose messages are still to be removed |
//! | `damaged` | each record that could not be decoded, moved out of its own table |
//! | `meta` | the names in [`meta`] |
//!
//! Nothing is written when time passes: a session is active or expired by the clock alone, and
//! its row in the time-ordered index stays exact until it is purged.

use std::ops::Bound;

use redb::{TableDefinition, TableError, WriteTransaction};

use super::deadline;

/// The version of this contract. A file of an older one is brought to it ([`super::migrations`]), one
/// of a newer one is refused.
pub(in crate::store) const SCHEMA_VERSION: u32 = 2;

/// session
pub(in crate::store) const SESSIONS: TableDefinition<u128, &[u8]> =
    TableDefinition::new("sessions");

/// (`expires_at` - `warn_at`, `expires_at`, session)
pub(in crate::store) const DEADLINES: TableDefinition<deadline::Key, ()> =
    TableDefinition::new("deadlines");

/// (user, session)
pub(in crate::store) const USER_SESSIONS: TableDefinition<(u128, u128), ()> =
    TableDefinition::new("user_sessions");

/// (user, key)
pub(in crate::store) const CREATE_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("create_keys");

/// (session, `created_at`)
pub(in crate::store) const MESSAGES: TableDefinition<(u128, i64), &[u8]> =
    TableDefinition::new("messages");

/// (session, key)
pub(in crate::store) const MESSAGE_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("message_keys");

/// (session, key)
pub(in crate::store) const SUBMIT_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("submit_keys");

/// session
pub(in crate::store) const UPSTREAMS: TableDefinition<u128, &[u8]> =
    TableDefinition::new("upstreams");

/// (session, position)
pub(in crate::store) const OPEN_TURNS: TableDefinition<(u128, u32), &[u8]> =
    TableDefinition::new("open_turns");

/// session
pub(in crate::store) const DELETIONS: TableDefinition<u128, ()> = TableDefinition::new("deletions");

/// (session, or nil where it is not known; which of its records)
pub(in crate::store) const DAMAGED: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("damaged");

/// a name of [`meta`]
pub(in crate::store) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// The rows of the table `meta`.
pub(in crate::store) mod meta {
    /// The schema version that the file has.
    pub(in crate::store) const SCHEMA: &str = "schema_version";
    /// Whether the last stop was clean.
    pub(in crate::store) const CLEAN_STOP: &str = "clean_stop";
    /// How many sessions expire at or before a point in time near now.
    pub(in crate::store) const EXPIRED: &str = "tally_expired";
    /// How many sessions are near their expiry at a point in time near now, or past it.
    pub(in crate::store) const WARNED: &str = "tally_warned";
    /// How many sessions expire at or before the instant up to which sessions are purged.
    pub(in crate::store) const ENDED: &str = "tally_ended";
    /// When the last complete verification of the file ended, and how many faults it found.
    pub(in crate::store) const VERIFIED: &str = "verified";
    /// When the last backup was made, and how long it is.
    pub(in crate::store) const LAST_BACKUP: &str = "last_backup";
}

/// A session, and a name within it.
type Named = (u128, &'static str);

/// The rows of one session in a table that is keyed by the session and a name.
pub(in crate::store) fn names_of(session: u128) -> (Bound<Named>, Bound<Named>) {
    // The largest id has no successor.
    let end = session.checked_add(1);
    let end = end.map_or(Bound::Unbounded, |next| Bound::Excluded((next, "")));
    (Bound::Included((session, "")), end)
}

/// Makes every table that is not there yet, since a reader cannot.
pub(in crate::store) fn create_all(txn: &WriteTransaction) -> Result<(), TableError> {
    txn.open_table(SESSIONS)?;
    txn.open_table(DEADLINES)?;
    txn.open_table(USER_SESSIONS)?;
    txn.open_table(CREATE_KEYS)?;
    txn.open_table(MESSAGES)?;
    txn.open_table(MESSAGE_KEYS)?;
    txn.open_table(SUBMIT_KEYS)?;
    txn.open_table(UPSTREAMS)?;
    txn.open_table(OPEN_TURNS)?;
    txn.open_table(DELETIONS)?;
    txn.open_table(DAMAGED)?;
    txn.open_table(META)?;
    Ok(())
}

/// Empties every table but `meta`.
pub(in crate::store) fn delete_all(txn: &WriteTransaction) -> Result<(), TableError> {
    txn.delete_table(SESSIONS)?;
    txn.delete_table(DEADLINES)?;
    txn.delete_table(USER_SESSIONS)?;
    txn.delete_table(CREATE_KEYS)?;
    txn.delete_table(MESSAGES)?;
    txn.delete_table(MESSAGE_KEYS)?;
    txn.delete_table(SUBMIT_KEYS)?;
    txn.delete_table(UPSTREAMS)?;
    txn.delete_table(OPEN_TURNS)?;
    txn.delete_table(DELETIONS)?;
    txn.delete_table(DAMAGED)?;
    create_all(txn)
}
