//! The writer's transaction: the tables, kept in step with each other.
//!
//! Whatever changes a session's row changes its index rows and the tallies with it, so that no
//! command can forget one.

mod damaged;

use std::collections::{HashMap, HashSet};

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::damage::{Damage, KeyOf, NOBODY, Spot};
use super::error::CommandError;
use super::record::{self, CreateClaim, RecordError};
use super::tables::{
    CREATE_KEYS, DAMAGED, DELETIONS, EXPIRY, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SESSIONS,
    SUBMIT_KEYS, UPSTREAMS, USER_SESSIONS, WARNINGS, meta,
};
use super::tally::Tallies;
use crate::domain::error::Refusal;
use crate::domain::id::{AgentId, SessionId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::Message;
use crate::domain::rules::Rules;
use crate::domain::session::{Session, Standing};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::events::{Event, Happening};

pub(super) type Result<T> = std::result::Result<T, CommandError>;

type Bytes = &'static [u8];

/// One transaction of the writer, and what it will tell after its commit.
pub struct Txn<'t> {
    pub(super) rules: &'t Rules,
    pub(super) now: Timestamp,
    sessions: Table<'t, u128, Bytes>,
    expiry: Table<'t, (i64, u128), ()>,
    warnings: Table<'t, (i64, u128), ()>,
    user_sessions: Table<'t, (u128, u128), ()>,
    create_keys: Table<'t, (u128, &'static str), Bytes>,
    messages: Table<'t, (u128, i64), Bytes>,
    message_keys: Table<'t, (u128, &'static str), Bytes>,
    submit_keys: Table<'t, (u128, &'static str), Bytes>,
    upstreams: Table<'t, u128, Bytes>,
    open_turns: Table<'t, (u128, u32), Bytes>,
    deletions: Table<'t, u128, ()>,
    damaged: Table<'t, (u128, &'static str), Bytes>,
    meta: Table<'t, &'static str, Bytes>,
    tallies: Tallies,
    /// The earliest deadline that was written.
    pub(super) earliest_deadline: Timestamp,
    pub(super) happenings: Vec<Happening>,
    /// How many sessions were created.
    pub(super) created: u64,
    /// How many open turns of which agent were removed with their sessions.
    pub(super) turns_deleted: Vec<(AgentId, u64)>,
    pub(super) dirty: bool,
    /// The records that were written, and the bytes in them.
    written: (u64, u64),
    /// Whether the disk has room for more than a deletion.
    pub(super) has_room: bool,
    damage: &'t Damage,
    /// The sessions some of whose records were set aside, and those that have none any more.
    damaged_now: Vec<SessionId>,
    sound_now: Vec<SessionId>,
}

/// What a transaction leaves for after its commit.
pub(super) struct Leavings {
    pub(super) happenings: Vec<Happening>,
    pub(super) created: u64,
    pub(super) turns_deleted: Vec<(AgentId, u64)>,
    pub(super) earliest_deadline: Timestamp,
    pub(super) dirty: bool,
    pub(super) written: (u64, u64),
    pub(super) damaged_now: Vec<SessionId>,
    pub(super) sound_now: Vec<SessionId>,
}

impl<'t> Txn<'t> {
    pub(super) fn open(
        txn: &'t WriteTransaction,
        rules: &'t Rules,
        damage: &'t Damage,
        now: Timestamp,
    ) -> Result<Self> {
        let meta = txn.open_table(META)?;
        let expiry = txn.open_table(EXPIRY)?;
        let warnings = txn.open_table(WARNINGS)?;
        let tallies = Tallies::load(&meta)?;
        Ok(Self {
            rules,
            now,
            sessions: txn.open_table(SESSIONS)?,
            expiry,
            warnings,
            user_sessions: txn.open_table(USER_SESSIONS)?,
            create_keys: txn.open_table(CREATE_KEYS)?,
            messages: txn.open_table(MESSAGES)?,
            message_keys: txn.open_table(MESSAGE_KEYS)?,
            submit_keys: txn.open_table(SUBMIT_KEYS)?,
            upstreams: txn.open_table(UPSTREAMS)?,
            open_turns: txn.open_table(OPEN_TURNS)?,
            deletions: txn.open_table(DELETIONS)?,
            damaged: txn.open_table(DAMAGED)?,
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
    pub(super) fn finish(mut self) -> Result<Leavings> {
        self.tallies.save(&mut self.meta)?;
        Ok(Leavings {
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
    pub(super) fn publish(&mut self, session_id: SessionId, event: Event) {
        self.happenings.push(Happening::new(session_id, event));
    }

    /// Lets a command pass that would make the file grow.
    pub(super) fn require_room(&self) -> Result<()> {
        if self.has_room {
            return Ok(());
        }
        Err(CommandError::NoRoom)
    }

    // Sessions

    /// The session, if there is one that is active or still kept.
    pub(super) fn kept_session(&self, id: SessionId) -> Result<Session> {
        match self.session(id)? {
            Some(session) if session.standing(self.now, self.rules.kept) != Standing::Gone => {
                Ok(session)
            }
            _ => Err(Refusal::SessionNotFound(id).into()),
        }
    }

    /// The session, if it is active.
    pub(super) fn active_session(&self, id: SessionId) -> Result<Session> {
        let session = self.kept_session(id)?;
        session.require_active(self.now, self.rules.kept)?;
        Ok(session)
    }

    pub(super) fn session(&self, id: SessionId) -> Result<Option<Session>> {
        let Some(bytes) = self.sessions.get(u128::from(id))? else {
            self.refuse_set_aside(id, &Spot::Session)?;
            return Ok(None);
        };
        let session = record::decode_session(id, bytes.value());
        Ok(Some(self.noted(id, || Spot::Session, session)?))
    }

    /// How many active sessions a user has, and when the first of them expires. Costs what is kept
    /// of that user.
    pub(super) fn active_sessions(&self, user: UserId) -> Result<(u64, Timestamp)> {
        let user = u128::from(user);
        let (mut active, mut next_expiry) = (0, Timestamp::MAX);
        for row in self.user_sessions.range((user, 0)..=(user, u128::MAX))? {
            let id = SessionId::from(row?.0.value().1);
            let session = match self.session(id) {
                Ok(session) => session,
                // A damaged one is nobody's to use.
                Err(CommandError::Record(_)) => continue,
                Err(error) => return Err(error),
            };
            let expires_at = session.map(|session| session.expires_at);
            if let Some(expires_at) = expires_at.filter(|expires_at| *expires_at > self.now) {
                active += 1;
                next_expiry = next_expiry.min(expires_at);
            }
        }
        Ok((active, next_expiry))
    }

    pub(super) fn insert_session(&mut self, session: &Session) -> Result<()> {
        let id = u128::from(session.id);
        self.put_session(session)?;
        self.add_deadlines(session)?;
        self.user_sessions
            .insert((session.user_id.into(), id), ())?;
        self.created += 1;
        Ok(())
    }

    /// Replaces a session by what became of it.
    pub(super) fn update_session(&mut self, before: &Session, after: &Session) -> Result<()> {
        self.put_session(after)?;
        if (before.expires_at, before.warn_at) != (after.expires_at, after.warn_at) {
            self.remove_deadlines(before)?;
            self.add_deadlines(after)?;
        }
        Ok(())
    }

    /// Removes a session's rows, all but its messages and their keys.
    pub(super) fn remove_session(&mut self, session: &Session) -> Result<()> {
        let id = u128::from(session.id);
        self.dirty = true;
        self.sessions.remove(id)?;
        self.upstreams.remove(id)?;
        self.remove_deadlines(session)?;
        self.user_sessions.remove((session.user_id.into(), id))?;
        if let Some(key) = &session.create_key {
            // The key may name a later session by now. A damaged claim is of no use to anyone.
            let is_ours = match self.create_claim(session.user_id, key) {
                Ok(claim) => claim.is_some_and(|claim| claim.session_id == session.id),
                Err(CommandError::Record(_)) => true,
                Err(error) => return Err(error),
            };
            if is_ours {
                self.create_keys
                    .remove((session.user_id.into(), key.as_str()))?;
            }
        }
        Ok(())
    }

    /// The first sessions, by expiry, that expire at or before a time.
    pub(super) fn expired_until(
        &self,
        until: Timestamp,
        after: Option<(Timestamp, SessionId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, SessionId)>> {
        super::reader::due_rows(&self.expiry, after, until, limit).map_err(Into::into)
    }

    fn put_session(&mut self, session: &Session) -> Result<()> {
        let bytes = whole(record::encode_session(session))?;
        self.writes(&bytes);
        self.sessions
            .insert(u128::from(session.id), bytes.as_slice())?;
        Ok(())
    }

    fn add_deadlines(&mut self, session: &Session) -> Result<()> {
        let id = u128::from(session.id);
        self.expiry.insert((session.expires_at.0, id), ())?;
        self.warnings.insert((session.warn_at.0, id), ())?;
        self.tallies.session_added(session);
        // A warning that is due at once is not a deadline: it was told or is not to be.
        let next = if session.warn_at > self.now {
            session.warn_at
        } else {
            session.expires_at
        };
        self.earliest_deadline = self.earliest_deadline.min(next);
        Ok(())
    }

    /// Takes out the rows that the indexes have of sessions whose records are lost; returns when
    /// they expire. Which rows those are can only be found by looking at all.
    pub(super) fn remove_index_rows(
        &mut self,
        ids: &HashSet<SessionId>,
    ) -> Result<HashMap<SessionId, Timestamp>> {
        let mut expiries = HashMap::new();
        for (at, id) in places_of(&self.expiry, ids)? {
            self.expiry.remove((at, id))?;
            self.tallies.rows_removed(Some(Timestamp(at)), None);
            expiries.insert(SessionId::from(id), Timestamp(at));
        }
        for (at, id) in places_of(&self.warnings, ids)? {
            self.warnings.remove((at, id))?;
            self.tallies.rows_removed(None, Some(Timestamp(at)));
        }
        let mut rows = Vec::new();
        for row in self.user_sessions.iter()? {
            let (user, id) = row?.0.value();
            if ids.contains(&SessionId::from(id)) {
                rows.push((user, id));
            }
        }
        for row in rows {
            self.user_sessions.remove(row)?;
        }
        for id in ids {
            self.upstreams.remove(u128::from(*id))?;
        }
        self.remove_claims_of(ids)?;
        self.dirty = true;
        Ok(expiries)
    }

    fn remove_claims_of(&mut self, ids: &HashSet<SessionId>) -> Result<()> {
        let mut keys = Vec::new();
        for row in self.create_keys.iter()? {
            let (key, bytes) = row?;
            let claim = record::decode_claim(bytes.value());
            if claim.is_ok_and(|claim| ids.contains(&claim.session_id)) {
                let (user, key) = key.value();
                keys.push((user, key.to_owned()));
            }
        }
        for (user, key) in keys {
            self.create_keys.remove((user, key.as_str()))?;
        }
        Ok(())
    }

    fn remove_deadlines(&mut self, session: &Session) -> Result<()> {
        let id = u128::from(session.id);
        let expiry = self.expiry.remove((session.expires_at.0, id))?.is_some();
        let warning = self.warnings.remove((session.warn_at.0, id))?.is_some();
        self.tallies.session_removed(session, expiry, warning);
        Ok(())
    }

    // Idempotency keys

    pub(super) fn create_claim(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> Result<Option<CreateClaim>> {
        let spot = || Spot::CreateKey(user, key.clone());
        let Some(bytes) = self.create_keys.get((user.into(), key.as_str()))? else {
            self.refuse_set_aside(NOBODY, &spot())?;
            return Ok(None);
        };
        let claim = record::decode_claim(bytes.value());
        Ok(Some(self.noted(NOBODY, spot, claim)?))
    }

    pub(super) fn put_create_claim(
        &mut self,
        user: UserId,
        key: &IdempotencyKey,
        claim: &CreateClaim,
    ) -> Result<()> {
        let bytes = whole(record::encode_claim(claim))?;
        self.writes(&bytes);
        self.create_keys
            .insert((user.into(), key.as_str()), bytes.as_slice())?;
        Ok(())
    }

    /// The message that a key was used for.
    pub(super) fn message_of_key(
        &self,
        of: KeyOf,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> Result<Option<Message>> {
        let spot = || Spot::Key(of, key.clone());
        let Some(bytes) = self.keys(of).get((session.into(), key.as_str()))? else {
            self.refuse_set_aside(session, &spot())?;
            return Ok(None);
        };
        let at = self.noted(session, spot, record::decode_time(bytes.value()))?;
        self.message(session, at)
    }

    pub(super) fn put_key(
        &mut self,
        of: KeyOf,
        session: SessionId,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<()> {
        let bytes = whole(record::encode_time(at))?;
        self.writes(&bytes);
        self.keys_mut(of)
            .insert((session.into(), key.as_str()), bytes.as_slice())?;
        Ok(())
    }

    fn keys(&self, of: KeyOf) -> &Table<'t, (u128, &'static str), Bytes> {
        match of {
            KeyOf::Send => &self.message_keys,
            KeyOf::Submit => &self.submit_keys,
        }
    }

    fn keys_mut(&mut self, of: KeyOf) -> &mut Table<'t, (u128, &'static str), Bytes> {
        match of {
            KeyOf::Send => &mut self.message_keys,
            KeyOf::Submit => &mut self.submit_keys,
        }
    }

    // Other servers

    pub(super) fn put_upstream(&mut self, session: SessionId, name: &str) -> Result<()> {
        let bytes = record::encode_upstream(name)?;
        self.writes(&bytes);
        self.upstreams
            .insert(u128::from(session), bytes.as_slice())?;
        Ok(())
    }

    // Messages

    pub(super) fn message(&self, session: SessionId, at: Timestamp) -> Result<Option<Message>> {
        let Some(bytes) = self.messages.get((session.into(), at.0))? else {
            return Ok(None);
        };
        let message = record::decode_message(session, at, bytes.value());
        Ok(Some(self.noted(session, || Spot::Message(at), message)?))
    }

    /// The same; a damaged message counts as none.
    pub(super) fn undamaged_message(
        &self,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Option<Message>> {
        match self.message(session, at) {
            Err(CommandError::Record(_)) => Ok(None),
            other => other,
        }
    }

    /// Stores a message; one that is too large is its caller's trouble alone, so that a command
    /// must write its new message first.
    pub(super) fn put_message(&mut self, message: &Message) -> Result<()> {
        let bytes = record::encode_message(message)?;
        self.writes(&bytes);
        let key = (message.session_id.into(), message.created_at.0);
        self.messages.insert(key, bytes.as_slice())?;
        Ok(())
    }

    /// The time of the session's next message: now, or just after the message before it.
    pub(super) fn next_message_at(&self, session: SessionId) -> Result<Timestamp> {
        let id = u128::from(session);
        let last = self
            .messages
            .range((id, i64::MIN)..=(id, i64::MAX))?
            .next_back();
        let Some(last) = last.transpose()? else {
            return Ok(self.now);
        };
        let (_, at) = last.0.value();
        Ok(self.now.max(Timestamp(at).next()))
    }

    // Turns

    /// How many turns are open in all.
    pub(super) fn open_turn_count(&self) -> Result<u64> {
        Ok(self.open_turns.len()?)
    }

    /// The session's open turns, in the order of running; damaged ones are left out.
    pub(super) fn open_turns(&self, session: SessionId) -> Result<Vec<OpenTurn>> {
        let id = u128::from(session);
        let mut turns = Vec::new();
        for row in self.open_turns.range((id, 0)..=(id, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(self.noted(session, || Spot::Turn(position), turn));
        }
        Ok(turns)
    }

    /// The place behind all of the session's open turns, the damaged ones too.
    pub(super) fn next_turn_position(&self, session: SessionId) -> Result<u32> {
        let id = u128::from(session);
        let last = self.open_turns.range((id, 0)..=(id, u32::MAX))?.next_back();
        Ok(last
            .transpose()?
            .map_or(0, |(key, _)| key.value().1.saturating_add(1)))
    }

    /// Every open turn; damaged ones are left out.
    pub(super) fn all_open_turns(&self) -> Result<Vec<OpenTurn>> {
        let mut turns = Vec::new();
        for row in self.open_turns.iter()? {
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            let turn = record::decode_turn(session, position, bytes.value());
            turns.extend(self.noted(session, || Spot::Turn(position), turn));
        }
        Ok(turns)
    }

    pub(super) fn put_turn(&mut self, turn: &OpenTurn) -> Result<()> {
        let bytes = whole(record::encode_turn(turn))?;
        self.writes(&bytes);
        let key = (turn.session_id.into(), turn.position);
        self.open_turns.insert(key, bytes.as_slice())?;
        Ok(())
    }

    pub(super) fn remove_turn(&mut self, turn: &OpenTurn) -> Result<()> {
        self.dirty = true;
        self.open_turns
            .remove((turn.session_id.into(), turn.position))?;
        Ok(())
    }

    /// Removes all of a session's open turns; returns how many.
    pub(super) fn remove_turns(&mut self, session: SessionId) -> Result<usize> {
        let id = u128::from(session);
        let mut removed = 0;
        let range = (id, 0)..=(id, u32::MAX);
        for row in self.open_turns.extract_from_if(range, |_, _| true)? {
            row?;
            removed += 1;
        }
        self.dirty |= removed > 0;
        Ok(removed)
    }

    // Deletions

    /// Notes that a session's messages are to be removed later.
    pub(super) fn defer_deletion(&mut self, session: SessionId) -> Result<()> {
        self.dirty = true;
        self.deletions.insert(u128::from(session), ())?;
        Ok(())
    }

    /// The first deletion that is still to be carried out.
    pub(super) fn next_deletion(&self) -> Result<Option<SessionId>> {
        Ok(self
            .deletions
            .first()?
            .map(|(id, _)| SessionId::from(id.value())))
    }

    pub(super) fn finish_deletion(&mut self, session: SessionId) -> Result<()> {
        self.dirty = true;
        self.deletions.remove(u128::from(session))?;
        Ok(())
    }

    /// Removes up to `limit` of a session's messages, their keys and what is set aside of it;
    /// returns how many.
    pub(super) fn remove_messages(&mut self, session: SessionId, limit: usize) -> Result<usize> {
        let id = u128::from(session);
        let mut removed = 0;
        let range = (id, i64::MIN)..=(id, i64::MAX);
        for row in self
            .messages
            .extract_from_if(range, |_, _| true)?
            .take(limit)
        {
            row?;
            removed += 1;
        }
        for table in [
            &mut self.message_keys,
            &mut self.submit_keys,
            &mut self.damaged,
        ] {
            let keys = (id, "")..(id.saturating_add(1), "");
            for row in table
                .extract_from_if(keys, |_, _| true)?
                .take(limit - removed)
            {
                row?;
                removed += 1;
            }
        }
        if removed < limit {
            self.sound_now.push(session);
        }
        self.dirty |= removed > 0;
        Ok(removed)
    }

    // The file as a whole

    /// Moves the tallies to the present time.
    pub(super) fn walk_tallies(&mut self) -> Result<()> {
        let ended = self.now - self.rules.kept;
        let moved = self
            .tallies
            .walk(&self.expiry, &self.warnings, self.now, ended)?;
        self.dirty |= moved;
        Ok(())
    }

    pub(super) fn set_clean_stop(&mut self, clean: bool) -> Result<()> {
        let bytes = whole(record::encode_number(clean.into()))?;
        self.writes(&bytes);
        self.meta.insert(meta::CLEAN_STOP, bytes.as_slice())?;
        Ok(())
    }
}

/// The rows that an index has of some sessions.
fn places_of(
    index: &Table<'_, (i64, u128), ()>,
    ids: &HashSet<SessionId>,
) -> Result<Vec<(i64, u128)>> {
    let mut places = Vec::new();
    for row in index.iter()? {
        let (at, id) = row?.0.value();
        if ids.contains(&SessionId::from(id)) {
            places.push((at, id));
        }
    }
    Ok(places)
}

/// A record that this build cannot write is the whole batch's trouble, since rows before it may
/// have been written already.
fn whole(encoded: std::result::Result<Vec<u8>, RecordError>) -> Result<Vec<u8>> {
    encoded.map_err(|error| {
        let error = redb::StorageError::Corrupted(error.to_string());
        CommandError::Storage(Box::new(error.into()))
    })
}
