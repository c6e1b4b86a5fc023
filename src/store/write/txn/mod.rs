//! The writer's transaction: the tables, kept consistent with each other.
//!
//! Every change of a session's row also changes its index rows and the counters, so that no command
//! can forget one.

mod keys;
mod lazy;
mod messages;
mod quota;
mod raw_records;
mod sessions;
mod turns;
mod user;
mod waiting;

use redb::{Table, WriteTransaction};

use self::lazy::Lazy;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::events::work::WorkEvent;
use crate::events::{Event, SessionEvent};
use crate::store::condition::{LastBackup, Verified};
use crate::store::error::{CommandError, CommandResult};
use crate::store::quarantine::registry::Quarantine;
use crate::store::schema::counters::Counters;
use crate::store::schema::deadline;
use crate::store::schema::record::{self, Counter, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS,
    REMOTE_SESSIONS, SESSIONS, SUBMIT_KEYS, USER_SESSIONS, WAITING_TURNS, WaitingKey, meta,
};

type Bytes = &'static [u8];

/// One transaction of the writer.
pub struct Txn<'t> {
    pub(crate) rules: &'t Rules,
    pub(crate) now: Timestamp,
    /// Whether the disk has free space for more than a deletion.
    pub(crate) has_free_space: bool,
    pub(crate) effects: CommitEffects,
    sessions: Table<'t, u128, Bytes>,
    deadlines: Table<'t, deadline::Key, ()>,
    user_sessions: Lazy<'t, (u128, u128), ()>,
    create_keys: Lazy<'t, (u128, &'static str), Bytes>,
    messages: Lazy<'t, (u128, i64), Bytes>,
    message_keys: Lazy<'t, (u128, &'static str), Bytes>,
    submit_keys: Lazy<'t, (u128, &'static str), Bytes>,
    remote_sessions: Lazy<'t, u128, Bytes>,
    open_turns: Lazy<'t, (u128, u32), Bytes>,
    waiting_turns: Lazy<'t, WaitingKey, ()>,
    deletions: Lazy<'t, u128, ()>,
    damaged: Lazy<'t, (u128, &'static str), Bytes>,
    meta: Table<'t, &'static str, Bytes>,
    counters: Counters,
    quarantine: &'t Quarantine,
}

/// What to do once the transaction is committed.
pub(crate) struct CommitEffects {
    pub(crate) events: Vec<SessionEvent>,
    /// The changes of turns that wait for a submitted reply.
    pub(crate) work: Vec<WorkEvent>,
    /// The number of sessions that were created.
    pub(crate) created: u64,
    /// The number of open turns that were deleted with their sessions, by agent.
    pub(crate) turns_deleted: Vec<(AgentId, u64)>,
    /// The earliest deadline that was written.
    pub(crate) earliest_deadline: Timestamp,
    /// Whether anything was written.
    pub(crate) dirty: bool,
    /// The number of records that were written, and of the bytes in them.
    pub(crate) written: (u64, u64),
    /// The sessions that have new quarantined records.
    pub(crate) damaged: Vec<SessionId>,
    /// The sessions that have no quarantined records left.
    pub(crate) sound: Vec<SessionId>,
}

impl<'t> Txn<'t> {
    pub(crate) fn open(
        txn: &'t WriteTransaction,
        rules: &'t Rules,
        quarantine: &'t Quarantine,
        now: Timestamp,
    ) -> CommandResult<Self> {
        let meta = txn.open_table(META)?;
        let counters = Counters::load(&meta)?;
        Ok(Self {
            rules,
            now,
            has_free_space: true,
            effects: CommitEffects {
                events: Vec::new(),
                work: Vec::new(),
                created: 0,
                turns_deleted: Vec::new(),
                earliest_deadline: Timestamp::MAX,
                dirty: false,
                written: (0, 0),
                damaged: Vec::new(),
                sound: Vec::new(),
            },
            sessions: txn.open_table(SESSIONS)?,
            deadlines: txn.open_table(DEADLINES)?,
            user_sessions: Lazy::new(txn, USER_SESSIONS),
            create_keys: Lazy::new(txn, CREATE_KEYS),
            messages: Lazy::new(txn, MESSAGES),
            message_keys: Lazy::new(txn, MESSAGE_KEYS),
            submit_keys: Lazy::new(txn, SUBMIT_KEYS),
            remote_sessions: Lazy::new(txn, REMOTE_SESSIONS),
            open_turns: Lazy::new(txn, OPEN_TURNS),
            waiting_turns: Lazy::new(txn, WAITING_TURNS),
            deletions: Lazy::new(txn, DELETIONS),
            damaged: Lazy::new(txn, DAMAGED),
            meta,
            counters,
            quarantine,
        })
    }

    /// Writes the counters and closes the tables.
    pub(crate) fn finish(mut self) -> CommandResult<CommitEffects> {
        self.counters.save(&mut self.meta)?;
        Ok(self.effects)
    }

    /// Accounts for a record that is about to be written.
    fn count_write(&mut self, record: &[u8]) {
        self.effects.dirty = true;
        self.effects.written.0 += 1;
        self.effects.written.1 += record.len() as u64;
    }

    /// Publishes an event after the commit.
    pub(crate) fn publish(&mut self, session_id: SessionId, event: Event) {
        let event = SessionEvent::new(session_id, event);
        self.effects.events.push(event);
    }

    /// Refuses a command that would grow the file while there is no free space.
    pub(crate) fn require_free_space(&self) -> CommandResult<()> {
        if self.has_free_space {
            return Ok(());
        }
        Err(CommandError::NoRoom)
    }

    /// Advances the counters to the current time.
    pub(crate) fn advance_counters(&mut self) -> CommandResult<()> {
        let ended = self.now - self.rules.retention;
        let moved = self.counters.advance(&self.deadlines, self.now, ended)?;
        self.effects.dirty |= moved;
        Ok(())
    }

    pub(crate) fn set_clean_stop(&mut self, clean: bool) -> CommandResult<()> {
        let bytes = internal(record::encode_number(clean.into()))?;
        self.set_meta(meta::CLEAN_STOP, &bytes)
    }

    pub(crate) fn set_verification(&mut self, verified: Verified) -> CommandResult<()> {
        self.set_time_and_number(meta::VERIFIED, verified.at, verified.damaged_pages)
    }

    pub(crate) fn set_last_backup(&mut self, backup: LastBackup) -> CommandResult<()> {
        self.set_time_and_number(meta::LAST_BACKUP, backup.at, backup.bytes)
    }

    fn set_time_and_number(
        &mut self,
        name: &'static str,
        point: Timestamp,
        rows: u64,
    ) -> CommandResult<()> {
        let bytes = internal(record::encode_counter(Counter { point, rows }))?;
        self.set_meta(name, &bytes)
    }

    fn set_meta(&mut self, name: &'static str, bytes: &[u8]) -> CommandResult<()> {
        self.count_write(bytes);
        self.meta.insert(name, bytes)?;
        Ok(())
    }
}

/// Turns an encoding error into one that fails the whole batch, since the command may have written
/// other rows already.
fn internal(encoded: Result<Vec<u8>, RecordError>) -> CommandResult<Vec<u8>> {
    encoded.map_err(|error| redb::StorageError::Corrupted(error.to_string()).into())
}
