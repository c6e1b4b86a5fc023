//! The invariants of the file, checked in full.
//!
//! The tables are walked side by side, a row at a time, so that the check of a large file takes
//! no more memory than that of a small one.

mod tables;

use std::collections::HashSet;

use redb::{ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use self::tables::Tables;
use crate::domain::archive::Quarantined;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadError;
use crate::store::quarantine;
use crate::store::quarantine::damage::{KeyKind, NOBODY, Place, RecordLocation};
use crate::store::schema::counters::Counters;
use crate::store::schema::deadline::{Deadline, Index, Row};
use crate::store::schema::record;
use crate::store::schema::tables::{DAMAGED, SCHEMA_VERSION, meta};

type Result<T> = std::result::Result<T, ReadError>;

/// Something that does not fit.
#[derive(Debug, Clone)]
pub(in crate::store) struct Fault {
    /// In a line.
    pub(in crate::store) text: String,
    /// The record that cannot be decoded, where that is the fault. It can be set aside.
    pub(in crate::store) place: Option<Place>,
}

/// How far a check is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The rows that were looked at.
    pub done: u64,
    /// The rows that there are.
    pub total: u64,
}

/// How often progress is told, in rows.
const TELL_EVERY: u64 = 1 << 12;

/// Tells what does not fit, a fault at a time.
pub(in crate::store) fn check(
    txn: &ReadTransaction,
    progress: &mut dyn FnMut(Progress),
    report: &mut dyn FnMut(Fault),
) -> Result<()> {
    let tables = Tables::open(txn)?;
    let mut check = Check {
        progress: Progress {
            done: 0,
            total: tables.rows()?,
        },
        tables: &tables,
        tell: progress,
        report,
    };
    check.schema()?;
    let indexed = check.sessions()?;
    check.deadlines(indexed)?;
    check.user_sessions(indexed)?;
    check.tallies()?;
    check.deletions()?;
    check.messages()?;
    check.open_turns()?;
    check.keys(KeyKind::Send)?;
    check.keys(KeyKind::Submit)?;
    check.upstreams()?;
    check.create_keys()?;
    (check.tell)(Progress {
        done: check.progress.total,
        ..check.progress
    });
    Ok(())
}

/// The records that are set aside.
pub(in crate::store) fn set_aside(
    txn: &ReadTransaction,
    tell: &mut dyn FnMut(Quarantined),
) -> Result<()> {
    for row in txn.open_table(DAMAGED)?.iter()? {
        let (key, bytes) = row?;
        let (owner, place) = key.value();
        tell(quarantine::of_row(owner.into(), place, bytes.value()));
    }
    Ok(())
}

/// How many rows of each index belong to sessions. Each session has another row, so where an index
/// has no more rows than that, there is none without a session: to look each of them up would
/// take as long as all the rest.
#[derive(Debug, Clone, Copy, Default)]
struct Indexed {
    deadlines: u64,
    user_sessions: u64,
}

/// What is known of the session whose messages are being walked.
struct Owner {
    id: SessionId,
    /// There is a session, or its record is set aside.
    is_kept: bool,
    /// Its messages are being removed.
    is_leaving: bool,
    /// Its record is set aside, so its turns are gone.
    is_lost: bool,
    turns: HashSet<Timestamp>,
    /// The rows of open turns that cannot be decoded: of which messages is not known.
    unknown_turns: usize,
}

struct Check<'a> {
    tables: &'a Tables,
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
    report: &'a mut dyn FnMut(Fault),
}

impl Check<'_> {
    fn fault(&mut self, text: impl Into<String>) {
        let text = text.into();
        (self.report)(Fault { text, place: None });
    }

    fn damaged(&mut self, text: String, owner: SessionId, spot: RecordLocation) {
        let place = Some((owner, spot));
        (self.report)(Fault { text, place });
    }

    fn step(&mut self) {
        self.progress.done += 1;
        if self.progress.done.is_multiple_of(TELL_EVERY) {
            (self.tell)(self.progress);
        }
    }

    fn schema(&mut self) -> Result<()> {
        let version = match self.tables.meta.get(meta::SCHEMA)? {
            None => None,
            Some(bytes) => Some(record::decode_number(bytes.value())?),
        };
        if version != Some(SCHEMA_VERSION) {
            self.fault(format!("meta: the schema version is {version:?}"));
        }
        Ok(())
    }

    /// Steps over rows of which there is nothing to say.
    fn skip(&mut self, rows: u64) {
        self.progress.done += rows;
        (self.tell)(self.progress);
    }

    /// Every session decodes and has its row in each index.
    fn sessions(&mut self) -> Result<Indexed> {
        let mut indexed = Indexed::default();
        for row in self.tables.sessions.iter()? {
            self.step();
            let (id, bytes) = row?;
            let id = SessionId::from(id.value());
            let session = match record::decode_session(id, bytes.value()) {
                Ok(session) => session,
                Err(error) => {
                    self.damaged(
                        format!("sessions: {id}: {error}"),
                        id,
                        RecordLocation::Session,
                    );
                    continue;
                }
            };
            let deadlines = Row::of(&session).key();
            if self.tables.deadlines.get(deadlines)?.is_some() {
                indexed.deadlines += 1;
            } else {
                let at = session.expires_at;
                self.fault(format!("deadlines: session {id} has no row at {at}"));
            }
            let place = (session.user_id.into(), u128::from(id));
            if self.tables.user_sessions.get(place)?.is_some() {
                indexed.user_sessions += 1;
            } else {
                self.fault(format!("user_sessions: session {id} has no row"));
            }
        }
        Ok(indexed)
    }

    /// A row of the index has its session. What belongs to a damaged record cannot be told.
    fn deadlines(&mut self, indexed: Indexed) -> Result<()> {
        let rows = self.tables.deadlines.len()?;
        if rows == indexed.deadlines {
            self.skip(rows);
            return Ok(());
        }
        for row in self.tables.deadlines.iter()? {
            self.step();
            let row = Row::from_key(row?.0.value());
            let (at, id) = (row.expires_at, row.session);
            let fits = match self.tables.session(id)? {
                None => false,
                Some(Err(_)) => true,
                Some(Ok(session)) => Row::of(&session) == row,
            };
            if !fits {
                self.fault(format!("deadlines: the row ({at}, {id}) has no session"));
            }
        }
        Ok(())
    }

    fn user_sessions(&mut self, indexed: Indexed) -> Result<()> {
        let rows = self.tables.user_sessions.len()?;
        if rows == indexed.user_sessions {
            self.skip(rows);
            return Ok(());
        }
        for row in self.tables.user_sessions.iter()? {
            self.step();
            let (user, id) = row?.0.value();
            let id = SessionId::from(id);
            let fits = match self.tables.session(id)? {
                None => false,
                Some(Err(_)) => true,
                Some(Ok(session)) => u128::from(session.user_id) == user,
            };
            if !fits {
                self.fault(format!("user_sessions: the row of {id} has no session"));
            }
        }
        Ok(())
    }

    fn tallies(&mut self) -> Result<()> {
        let tallies = Counters::load(&self.tables.meta)?;
        let index = Index::of(&self.tables.deadlines)?;
        for (name, deadline, tally) in [
            ("expired", Deadline::Expiry, tallies.expired),
            ("warned", Deadline::Warning, tallies.warned),
            ("ended", Deadline::Expiry, tallies.ended),
        ] {
            let rows = index.count(deadline, Timestamp::MIN, tally.point)?;
            if rows != tally.rows {
                let said = tally.rows;
                self.fault(format!(
                    "tallies: {name} says {said} rows, the index has {rows}"
                ));
            }
        }
        Ok(())
    }

    fn deletions(&mut self) -> Result<()> {
        for row in self.tables.deletions.iter()? {
            let id = row?.0.value();
            if self.tables.sessions.get(id)?.is_some() {
                let id = SessionId::from(id);
                self.fault(format!("deletions: {id} is a session"));
            }
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<()> {
        let mut owner: Option<Owner> = None;
        for row in self.tables.messages.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (session, at) = key.value();
            let (session, at) = (SessionId::from(session), Timestamp(at));
            let owner = match owner.take() {
                Some(same) if same.id == session => owner.insert(same),
                _ => owner.insert(self.owner(session)?),
            };
            if !owner.is_kept && !owner.is_leaving {
                self.fault(format!("messages: ({session}, {at}) has no session"));
            }
            match record::decode_message(session, at, bytes.value()) {
                Ok(message) => self.message(owner, &message)?,
                Err(error) => {
                    let text = format!("messages: ({session}, {at}): {error}");
                    self.damaged(text, session, RecordLocation::Message(at));
                }
            }
        }
        Ok(())
    }

    fn owner(&self, id: SessionId) -> Result<Owner> {
        let raw = u128::from(id);
        let is_lost = self.tables.is_set_aside(id, &RecordLocation::Session)?;
        let (mut turns, mut unknown_turns) = (HashSet::new(), 0);
        for row in self.tables.open_turns.range((raw, 0)..=(raw, u32::MAX))? {
            let (key, bytes) = row?;
            match record::decode_turn(id, key.value().1, bytes.value()) {
                Ok(turn) => drop(turns.insert(turn.message_at)),
                Err(_) => unknown_turns += 1,
            }
        }
        Ok(Owner {
            id,
            is_kept: is_lost || self.tables.sessions.get(raw)?.is_some(),
            is_leaving: self.tables.deletions.get(raw)?.is_some(),
            is_lost,
            turns,
            unknown_turns,
        })
    }

    fn message(&mut self, owner: &mut Owner, message: &Message) -> Result<()> {
        let Role::User { reply_id, turn, .. } = &message.role else {
            return Ok(());
        };
        let (session, at) = (owner.id, message.created_at);
        match turn {
            TurnState::Replied(_) if owner.is_leaving => {}
            TurnState::Replied(reply_at) => {
                let is_there = match self.tables.message(session, *reply_at)? {
                    Some(Ok(reply)) => self.is_reply_to(&reply, message, *reply_id)?,
                    // It is told where it stands: a second fault would have no record.
                    Some(Err(_)) => true,
                    None => self
                        .tables
                        .is_set_aside(session, &RecordLocation::Message(*reply_at))?,
                };
                if !is_there {
                    self.fault(format!(
                        "messages: the reply to ({session}, {at}) is not there"
                    ));
                }
            }
            TurnState::Open => {
                let needs_row = owner.is_kept && !owner.is_lost;
                if !needs_row || owner.turns.contains(&at) {
                    return Ok(());
                }
                // Its row may be one of those that are told where they stand.
                match owner.unknown_turns.checked_sub(1) {
                    Some(left) => owner.unknown_turns = left,
                    None => self.fault(format!("open_turns: ({session}, {at}) has no row")),
                }
            }
            TurnState::Failed(_) => {}
        }
        Ok(())
    }

    /// Whether a message has its reply: of the id that was fixed for it, or one that a later
    /// message shares with it. Where that message is damaged it is not known, and counts as so.
    fn is_reply_to(&self, reply: &Message, message: &Message, fixed: MessageId) -> Result<bool> {
        let Role::Agent { in_reply_to, .. } = &reply.role else {
            return Ok(false);
        };
        if reply.id == fixed {
            return Ok(*in_reply_to == Some(message.id));
        }
        let session = message.session_id;
        let raw = u128::from(session);
        let later = (raw, message.created_at.next().0)..(raw, reply.created_at.0);
        for row in self.tables.messages.range(later)? {
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            let Ok(other) = record::decode_message(session, at, bytes.value()) else {
                // It may be the one that shares it; what it is is told where it stands.
                return Ok(true);
            };
            let shares_it = matches!(
                &other.role,
                Role::User { reply_id, turn: TurnState::Replied(at), .. }
                    if *reply_id == reply.id && *at == reply.created_at
            );
            if shares_it && *in_reply_to == Some(other.id) {
                return Ok(true);
            }
        }
        // Or the one that shares it is set aside.
        self.tables
            .is_message_set_aside(session, message.created_at, reply.created_at)
    }

    fn open_turns(&mut self) -> Result<()> {
        let mut seen: (Option<SessionId>, HashSet<Timestamp>) = (None, HashSet::new());
        for row in self.tables.open_turns.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            if seen.0 != Some(session) {
                seen = (Some(session), HashSet::new());
            }
            let turn = match record::decode_turn(session, position, bytes.value()) {
                Ok(turn) => turn,
                Err(error) => {
                    let text = format!("open_turns: ({session}, {position}): {error}");
                    self.damaged(text, session, RecordLocation::Turn(position));
                    continue;
                }
            };
            let at = turn.message_at;
            if turn.waits_until.is_some() && (turn.running || !turn.begun) {
                self.fault(format!(
                    "open_turns: ({session}, {position}) waits and does not"
                ));
            }
            if !seen.1.insert(at) {
                self.fault(format!("open_turns: {session} has a turn twice"));
            }
            // A message that cannot be decoded is told where it stands.
            let is_open = match self.tables.message(session, at)? {
                None => false,
                Some(message) => message.is_ok_and(|message| message.has_open_turn()),
            };
            let is_damaged = matches!(self.tables.message(session, at)?, Some(Err(_)));
            if !is_open && !is_damaged {
                self.fault(format!("open_turns: ({session}, {at}) has no open message"));
            }
        }
        Ok(())
    }

    fn keys(&mut self, of: KeyKind) -> Result<()> {
        let (name, what, rows) = match of {
            KeyKind::Send => ("message_keys", "message", &self.tables.message_keys),
            KeyKind::Submit => ("submit_keys", "reply", &self.tables.submit_keys),
        };
        for row in rows.iter()? {
            self.step();
            let (row, bytes) = row?;
            let (session, key) = row.value();
            if self.tables.sessions.get(session)?.is_none() {
                if !self.may_have_rows(session)? {
                    let session = SessionId::from(session);
                    self.fault(format!("{name}: {session} is no session"));
                }
                continue;
            }
            let session = SessionId::from(session);
            match record::decode_time(bytes.value()) {
                Ok(at) if self.is_message(of, session, at)? => {}
                Ok(at) => self.fault(format!("{name}: ({session}, {at}) is no {what}")),
                Err(error) => {
                    let text = format!("{name}: {session}: {error}");
                    match IdempotencyKey::parse(key) {
                        Some(key) => self.damaged(text, session, RecordLocation::Key(of, key)),
                        None => self.fault(text),
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether there may be rows of a session that is not there.
    fn may_have_rows(&self, session: u128) -> Result<bool> {
        let is_leaving = self.tables.deletions.get(session)?.is_some();
        Ok(is_leaving
            || self
                .tables
                .is_set_aside(session.into(), &RecordLocation::Session)?)
    }

    /// Whether the message of a key stands there; of one that cannot be decoded it is not known.
    fn is_message(&self, of: KeyKind, session: SessionId, at: Timestamp) -> Result<bool> {
        Ok(match self.tables.message(session, at)? {
            None => false,
            Some(Ok(message)) => message.is_agent() == (of == KeyKind::Submit),
            Some(Err(_)) => true,
        })
    }

    fn upstreams(&mut self) -> Result<()> {
        for row in self.tables.upstreams.iter()? {
            self.step();
            let (session, bytes) = row?;
            let session = SessionId::from(session.value());
            if self.tables.session(session)?.is_none() {
                self.fault(format!("upstreams: {session} is no session"));
            }
            if let Err(error) = record::decode_upstream(bytes.value()) {
                let text = format!("upstreams: {session}: {error}");
                self.damaged(text, session, RecordLocation::Upstream);
            }
        }
        Ok(())
    }

    fn create_keys(&mut self) -> Result<()> {
        for row in self.tables.create_keys.iter()? {
            self.step();
            let (key, bytes) = row?;
            let (user, name) = key.value();
            match record::decode_claim(bytes.value()) {
                Ok(claim) => {
                    let id = claim.session_id;
                    match self.tables.session(id)? {
                        None => self.fault(format!("create_keys: {id} is no session")),
                        Some(Ok(session)) if !was_made_with(&session, user, name) => {
                            self.fault(format!("create_keys: {id} was made with another key"));
                        }
                        Some(_) => {}
                    }
                }
                Err(error) => {
                    let text = format!("create_keys: {error}");
                    match IdempotencyKey::parse(name) {
                        Some(key) => {
                            self.damaged(text, NOBODY, RecordLocation::CreateKey(user.into(), key));
                        }
                        None => self.fault(text),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a session has the user and the key that its claim stands under.
fn was_made_with(session: &Session, user: u128, key: &str) -> bool {
    let own = session.create_key.as_ref().map(IdempotencyKey::as_str);
    u128::from(session.user_id) == user && own == Some(key)
}
