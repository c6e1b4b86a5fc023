//! The writer's transaction: the tables, kept in step with each other.
//!
//! Whatever changes a session's row changes its index rows and the tallies with it, so that no
//! command can forget one.

mod damaged;
mod keys;
mod lazy;
mod maintenance;
mod messages;
mod quota;
mod sessions;
mod turns;

use redb::{Table, WriteTransaction};

use self::lazy::Lazy;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::events::{Event, SessionEvent};
use crate::store::error::CommandError;
use crate::store::quarantine::damage::Quarantine;
use crate::store::schema::counters::Counters;
use crate::store::schema::deadline;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, DEADLINES, DELETIONS, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS,
    SUBMIT_KEYS, UPSTREAMS, USER_SESSIONS, meta,
};

pub(in crate::store) type Result<T> = std::result::Result<T, CommandError>;

type Bytes = &'static [u8];

/// One transaction of the writer, and what it will tell after its commit.
pub struct Txn<'t> {
    pub(in crate::store) rules: &'t Rules,
    pub(in crate::store) now: Timestamp,
    sessions: Table<'t, u128, Bytes>,
    deadlines: Table<'t, deadline::Key, ()>,
    user_sessions: Lazy<'t, (u128, u128), ()>,
    create_keys: Lazy<'t, (u128, &'static str), Bytes>,
    messages: Lazy<'t, (u128, i64), Bytes>,
    message_keys: Lazy<'t, (u128, &'static str), Bytes>,
    submit_keys: Lazy<'t, (u128, &'static str), Bytes>,
    upstreams: Lazy<'t, u128, Bytes>,
    open_turns: Lazy<'t, (u128, u32), Bytes>,
    deletions: Lazy<'t, u128, ()>,
    damaged: Lazy<'t, (u128, &'static str), Bytes>,
    meta: Table<'t, &'static str, Bytes>,
    tallies: Counters,
    /// The earliest deadline that was written.
    pub(in crate::store) earliest_deadline: Timestamp,
    pub(in crate::store) happenings: Vec<SessionEvent>,
    /// How many sessions were created.
    pub(in crate::store) created: u64,
    /// How many open turns of which agent were removed with their sessions.
    pub(in crate::store) turns_deleted: Vec<(AgentId, u64)>,
    pub(in crate::store) dirty: bool,
    /// The records that were written, and the bytes in them.
    written: (u64, u64),
    /// Whether the disk has room for more than a deletion.
    pub(in crate::store) has_room: bool,
    damage: &'t Quarantine,
    /// The sessions some of whose records were set aside, and those that have none any more.
    damaged_now: Vec<SessionId>,
    sound_now: Vec<SessionId>,
}

/// What a transaction leaves for after its commit.
pub(in crate::store) struct CommitEffects {
    pub(in crate::store) happenings: Vec<SessionEvent>,
    pub(in crate::store) created: u64,
    pub(in crate::store) turns_deleted: Vec<(AgentId, u64)>,
    pub(in crate::store) earliest_deadline: Timestamp,
    pub(in crate::store) dirty: bool,
    pub(in crate::store) written: (u64, u64),
    pub(in crate::store) damaged_now: Vec<SessionId>,
    pub(in crate::store) sound_now: Vec<SessionId>,
}

impl<'t> Txn<'t> {
    pub(in crate::store) fn open(
        txn: &'t WriteTransaction,
        rules: &'t Rules,
        damage: &'t Quarantine,
        now: Timestamp,
    ) -> Result<Self> {
        let meta = txn.open_table(META)?;
        let tallies = Counters::load(&meta)?;
        Ok(Self {
            rules,
            now,
            sessions: txn.open_table(SESSIONS)?,
            deadlines: txn.open_table(DEADLINES)?,
            user_sessions: Lazy::new(txn, USER_SESSIONS),
            create_keys: Lazy::new(txn, CREATE_KEYS),
            messages: Lazy::new(txn, MESSAGES),
            message_keys: Lazy::new(txn, MESSAGE_KEYS),
            submit_keys: Lazy::new(txn, SUBMIT_KEYS),
            upstreams: Lazy::new(txn, UPSTREAMS),
            open_turns: Lazy::new(txn, OPEN_TURNS),
            deletions: Lazy::new(txn, DELETIONS),
            damaged: Lazy::new(txn, DAMAGED),
            meta,
            tallies,
            earliest_deadline: Timestamp::MAX,
            happenings: Vec::new(),
            created: 0,
            turns_deleted: Vec::new(),
            dirty: false,
            written: (0, 0),
            has_room: true,
            damage,
            damaged_now: Vec::new(),
            sound_now: Vec::new(),
        })
    }

    /// Writes what is kept aside until the end of the transaction.
    pub(in crate::store) fn finish(mut self) -> Result<CommitEffects> {
        self.tallies.save(&mut self.meta)?;
        Ok(CommitEffects {
            happenings: self.happenings,
            created: self.created,
            turns_deleted: self.turns_deleted,
            earliest_deadline: self.earliest_deadline,
            dirty: self.dirty,
            written: self.written,
            damaged_now: self.damaged_now,
            sound_now: self.sound_now,
        })
    }

    /// Notes that a record is about to be written.
    fn writes(&mut self, record: &[u8]) {
        self.dirty = true;
        self.written.0 += 1;
        self.written.1 += record.len() as u64;
    }

    /// Tells the session's listeners after the commit.
    pub(in crate::store) fn publish(&mut self, session_id: SessionId, event: Event) {
        self.happenings.push(SessionEvent::new(session_id, event));
    }

    /// Lets a command pass that would make the file grow.
    pub(in crate::store) fn require_room(&self) -> Result<()> {
        if self.has_room {
            return Ok(());
        }
        Err(CommandError::NoRoom)
    }

    /// Moves the tallies to the present time.
    pub(in crate::store) fn walk_tallies(&mut self) -> Result<()> {
        let ended = self.now - self.rules.kept;
        let moved = self.tallies.walk(&self.deadlines, self.now, ended)?;
        self.dirty |= moved;
        Ok(())
    }

    pub(in crate::store) fn set_clean_stop(&mut self, clean: bool) -> Result<()> {
        let bytes = whole(record::encode_number(clean.into()))?;
        self.writes(&bytes);
        self.meta.insert(meta::CLEAN_STOP, bytes.as_slice())?;
        Ok(())
    }
}

/// A record that this build cannot write is the whole batch's trouble, since rows before it may
/// have been written already.
fn whole(encoded: std::result::Result<Vec<u8>, RecordError>) -> Result<Vec<u8>> {
    encoded.map_err(|error| {
        let error = redb::StorageError::Corrupted(error.to_string());
        CommandError::Storage(Box::new(error.into()))
    })
}
