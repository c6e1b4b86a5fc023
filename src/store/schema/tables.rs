//! The on-disk contract: every table and every key. The values are described in `record`.
//!
//! Ids are `UUIDv7` as `u128`, so new rows are appended at a tree's right edge. Times are
//! milliseconds since the epoch as `i64`. Each value is framed as `[version][crc32][bincode]`;
//! an index row's value is empty.
//!
//! | table | one row for |
//! |---|---|
//! | `sessions` | each retained session, active or expired |
//! | `deadlines` | each retained session, by the times of its warning and its expiry |
//! | `user_sessions` | each retained session, under its user |
//! | `create_keys` | each idempotency key of a user's creates |
//! | `messages` | each message, in the order of its session |
//! | `message_keys` | each idempotency key of a session's messages |
//! | `submit_keys` | each idempotency key of a session's submitted replies |
//! | `upstreams` | each session with a remote session, which an agent's server has for it |
//! | `open_turns` | each turn without a reply, in the order of execution |
//! | `waiting_turns` | each open turn that waits for a submitted reply, under its agent |
//! | `deletions` | each deleted session whose messages are still to be removed |
//! | `damaged` | each quarantined record: it could not be decoded and was moved out of its table |
//! | `meta` | the names in [`meta`] |
//!
//! Nothing is written when time passes: only the clock makes a session expire, and its row in the
//! time-ordered index stays exact until it is purged.

use std::ops::Bound;

use redb::{TableDefinition, TableError, WriteTransaction};

use super::deadline;
use super::record::{self, Counter};
use crate::domain::time::Timestamp;
use crate::domain::waiting::WaitingPosition;
use crate::store::error::CommandResult;

/// The version of this contract. Older files are migrated ([`super::migrations`]), newer ones
/// refused.
pub(crate) const SCHEMA_VERSION: u32 = 3;

/// session
pub(crate) const SESSIONS: TableDefinition<u128, &[u8]> = TableDefinition::new("sessions");

/// (`expires_at` - `warn_at`, `expires_at`, session)
pub(crate) const DEADLINES: TableDefinition<deadline::Key, ()> = TableDefinition::new("deadlines");

/// (user, session)
pub(crate) const USER_SESSIONS: TableDefinition<(u128, u128), ()> =
    TableDefinition::new("user_sessions");

/// (user, key)
pub(crate) const CREATE_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("create_keys");

/// (session, `created_at`)
pub(crate) const MESSAGES: TableDefinition<(u128, i64), &[u8]> = TableDefinition::new("messages");

/// (session, key)
pub(crate) const MESSAGE_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("message_keys");

/// (session, key)
pub(crate) const SUBMIT_KEYS: TableDefinition<(u128, &str), &[u8]> =
    TableDefinition::new("submit_keys");

/// session
pub(crate) const REMOTE_SESSIONS: TableDefinition<u128, &[u8]> = TableDefinition::new("upstreams");

/// (session, position)
pub(crate) const OPEN_TURNS: TableDefinition<(u128, u32), &[u8]> =
    TableDefinition::new("open_turns");

/// (agent, time of the message, session)
pub(crate) const WAITING_TURNS: TableDefinition<WaitingKey, ()> =
    TableDefinition::new("waiting_turns");

/// session
pub(crate) const DELETIONS: TableDefinition<u128, ()> = TableDefinition::new("deletions");

/// (session, nil if unknown; location of the record)
pub(crate) const DAMAGED: TableDefinition<(u128, &str), &[u8]> = TableDefinition::new("damaged");

/// a name of [`meta`]
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// The rows of the table `meta`.
pub(crate) mod meta {
    /// The schema version that the file has.
    pub(crate) const SCHEMA: &str = "schema_version";
    /// Whether the previous shutdown was clean.
    pub(crate) const CLEAN_STOP: &str = "clean_stop";
    /// The number of sessions that expire at or before a point in time near now.
    pub(crate) const EXPIRED: &str = "tally_expired";
    /// The number of sessions whose warning is at or before a point in time near now.
    pub(crate) const WARNED: &str = "tally_warned";
    /// The number of sessions that expire at or before the time up to which sessions are purged.
    pub(crate) const ENDED: &str = "tally_ended";
    /// When the last complete verification of the file ended, and the number of faults it found.
    pub(crate) const VERIFIED: &str = "verified";
    /// When the last backup was created, and its length.
    pub(crate) const LAST_BACKUP: &str = "last_backup";
}

/// The key of a waiting turn's row: the agent, the time of the message, the session.
pub(crate) type WaitingKey = (u128, i64, u128);

/// Returns the position of a waiting turn among those of its agent.
pub(crate) fn waiting_position((_, message_at, session): WaitingKey) -> WaitingPosition {
    WaitingPosition {
        message_at: Timestamp(message_at),
        session_id: session.into(),
    }
}

/// A session and a name within it.
type Named = (u128, &'static str);

/// Returns the rows of one session in a table that is keyed by session and name.
pub(crate) fn names_of(session: u128) -> (Bound<Named>, Bound<Named>) {
    // The largest id has no successor.
    let end = session.checked_add(1);
    let end = end.map_or(Bound::Unbounded, |next| Bound::Excluded((next, "")));
    (Bound::Included((session, "")), end)
}

/// Creates every missing table, since a reader cannot.
pub(crate) fn create_all(txn: &WriteTransaction) -> Result<(), TableError> {
    txn.open_table(SESSIONS)?;
    txn.open_table(DEADLINES)?;
    txn.open_table(USER_SESSIONS)?;
    txn.open_table(CREATE_KEYS)?;
    txn.open_table(MESSAGES)?;
    txn.open_table(MESSAGE_KEYS)?;
    txn.open_table(SUBMIT_KEYS)?;
    txn.open_table(REMOTE_SESSIONS)?;
    txn.open_table(OPEN_TURNS)?;
    txn.open_table(WAITING_TURNS)?;
    txn.open_table(DELETIONS)?;
    txn.open_table(DAMAGED)?;
    txn.open_table(META)?;
    Ok(())
}

/// Empties every table but `meta`, and resets the counters.
pub(crate) fn delete_all(txn: &WriteTransaction) -> CommandResult<()> {
    txn.delete_table(SESSIONS)?;
    txn.delete_table(DEADLINES)?;
    txn.delete_table(USER_SESSIONS)?;
    txn.delete_table(CREATE_KEYS)?;
    txn.delete_table(MESSAGES)?;
    txn.delete_table(MESSAGE_KEYS)?;
    txn.delete_table(SUBMIT_KEYS)?;
    txn.delete_table(REMOTE_SESSIONS)?;
    txn.delete_table(OPEN_TURNS)?;
    txn.delete_table(WAITING_TURNS)?;
    txn.delete_table(DELETIONS)?;
    txn.delete_table(DAMAGED)?;
    create_all(txn)?;
    let mut table = txn.open_table(META)?;
    let zero = record::encode_counter(Counter {
        point: Timestamp::MIN,
        rows: 0,
    })?;
    for name in [meta::EXPIRED, meta::WARNED, meta::ENDED] {
        table.insert(name, zero.as_slice())?;
    }
    Ok(())
}

/// Records a clean shutdown.
pub(crate) fn record_clean_stop(txn: &WriteTransaction) -> CommandResult<()> {
    let clean = record::encode_number(1)?;
    txn.open_table(META)?
        .insert(meta::CLEAN_STOP, clean.as_slice())?;
    Ok(())
}
