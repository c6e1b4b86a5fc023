//! The invariants of the file, checked in full.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadTransaction, ReadableTable};

use super::error::ReadError;
use super::record;
use super::tables::{
    CREATE_KEYS, DELETIONS, EXPIRY, MESSAGE_KEYS, MESSAGES, META, OPEN_TURNS, SCHEMA_VERSION,
    SESSIONS, SUBMIT_KEYS, UPSTREAMS, USER_SESSIONS, WARNINGS, meta,
};
use super::tally::{Tallies, rows_between};
use crate::domain::id::SessionId;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

type Result<T> = std::result::Result<T, ReadError>;

/// What does not fit, a line each.
pub(super) fn check(txn: &ReadTransaction) -> Result<Vec<String>> {
    let mut check = Check {
        txn,
        faults: Vec::new(),
        sessions: BTreeMap::new(),
    };
    check.schema()?;
    check.sessions()?;
    check.deadlines()?;
    check.user_sessions()?;
    check.tallies()?;
    let messages = check.messages()?;
    check.open_turns(&messages)?;
    check.message_keys(&messages)?;
    check.submit_keys(&messages)?;
    check.upstreams()?;
    check.create_keys()?;
    Ok(check.faults)
}

struct Check<'a> {
    txn: &'a ReadTransaction,
    faults: Vec<String>,
    /// None for a session whose record is damaged.
    sessions: BTreeMap<SessionId, Option<Session>>,
}

type InstantOf = fn(&Session) -> Timestamp;
type Messages = BTreeMap<(SessionId, Timestamp), Message>;

impl Check<'_> {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    fn schema(&mut self) -> Result<()> {
        let table = self.txn.open_table(META)?;
        let version = match table.get(meta::SCHEMA)? {
            None => None,
            Some(bytes) => Some(record::decode_number(bytes.value())?),
        };
        if version != Some(SCHEMA_VERSION) {
            self.fault(format!("meta: the schema version is {version:?}"));
        }
        Ok(())
    }

    fn sessions(&mut self) -> Result<()> {
        let table = self.txn.open_table(SESSIONS)?;
        for row in table.iter()? {
            let (id, bytes) = row?;
            let id = SessionId::from(id.value());
            let session = match record::decode_session(id, bytes.value()) {
                Ok(session) => Some(session),
                Err(error) => {
                    self.fault(format!("sessions: {id}: {error}"));
                    None
                }
            };
            self.sessions.insert(id, session);
        }
        Ok(())
    }

    fn deadlines(&mut self) -> Result<()> {
        let rules: [(&str, _, InstantOf); 2] = [
            ("expiry", EXPIRY, |session| session.expires_at),
            ("warnings", WARNINGS, |session| session.warn_at),
        ];
        for (name, definition, at) in rules {
            let mut rows = BTreeSet::new();
            for row in self.txn.open_table(definition)?.iter()? {
                let (time, id) = row?.0.value();
                rows.insert((Timestamp(time), SessionId::from(id)));
            }
            let known = self.sessions.clone();
            for (id, session) in &known {
                let Some(session) = session else { continue };
                if !rows.remove(&(at(session), *id)) {
                    self.fault(format!(
                        "{name}: session {id} has no row at {}",
                        at(session)
                    ));
                }
            }
            for (time, id) in rows {
                if !matches!(known.get(&id), Some(None)) {
                    self.fault(format!("{name}: the row ({time}, {id}) has no session"));
                }
            }
        }
        Ok(())
    }

    fn user_sessions(&mut self) -> Result<()> {
        let mut rows = BTreeSet::new();
        for row in self.txn.open_table(USER_SESSIONS)?.iter()? {
            let (user, id) = row?.0.value();
            rows.insert((user, SessionId::from(id)));
        }
        let known = self.sessions.clone();
        for (id, session) in &known {
            let Some(session) = session else { continue };
            if !rows.remove(&(session.user_id.into(), *id)) {
                self.fault(format!("user_sessions: session {id} has no row"));
            }
        }
        for (_, id) in rows {
            if !matches!(known.get(&id), Some(None)) {
                self.fault(format!("user_sessions: the row of {id} has no session"));
            }
        }
        Ok(())
    }

    fn tallies(&mut self) -> Result<()> {
        let tallies = Tallies::load(&self.txn.open_table(META)?)?;
        let expiry = self.txn.open_table(EXPIRY)?;
        let warnings = self.txn.open_table(WARNINGS)?;
        for (name, index, tally) in [
            ("expired", &expiry, tallies.expired),
            ("warned", &warnings, tallies.warned),
            ("ended", &expiry, tallies.ended),
        ] {
            let rows = rows_between(index, Timestamp::MIN, tally.point)?;
            if rows != tally.rows {
                let said = tally.rows;
                self.fault(format!(
                    "tallies: {name} says {said} rows, the index has {rows}"
                ));
            }
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<Messages> {
        let mut deletions = BTreeSet::new();
        for row in self.txn.open_table(DELETIONS)?.iter()? {
            deletions.insert(SessionId::from(row?.0.value()));
        }
        for id in &deletions {
            if self.sessions.contains_key(id) {
                self.fault(format!("deletions: {id} is a session"));
            }
        }
        let mut messages = Messages::new();
        for row in self.txn.open_table(MESSAGES)?.iter()? {
            let (key, bytes) = row?;
            let (session, at) = key.value();
            let (session, at) = (SessionId::from(session), Timestamp(at));
            if !self.sessions.contains_key(&session) && !deletions.contains(&session) {
                self.fault(format!("messages: ({session}, {at}) has no session"));
            }
            match record::decode_message(session, at, bytes.value()) {
                Ok(message) => {
                    messages.insert((session, at), message);
                }
                Err(error) => self.fault(format!("messages: ({session}, {at}): {error}")),
            }
        }
        for ((session, at), message) in &messages {
            if deletions.contains(session) {
                continue;
            }
            if !has_its_reply(&messages, message) {
                self.fault(format!(
                    "messages: the reply to ({session}, {at}) is not there"
                ));
            }
        }
        Ok(messages)
    }

    fn open_turns(&mut self, messages: &Messages) -> Result<()> {
        let mut turns = BTreeSet::new();
        for row in self.txn.open_table(OPEN_TURNS)?.iter()? {
            let (key, bytes) = row?;
            let (session, position) = key.value();
            let session = SessionId::from(session);
            match record::decode_turn(session, position, bytes.value()) {
                Ok(turn) => {
                    if turn.waits_until.is_some() && (turn.running || !turn.begun) {
                        self.fault(format!(
                            "open_turns: ({session}, {position}) waits and does not"
                        ));
                    }
                    if !turns.insert((session, turn.message_at)) {
                        self.fault(format!("open_turns: {session} has a turn twice"));
                    }
                }
                Err(error) => self.fault(format!("open_turns: ({session}, {position}): {error}")),
            }
        }
        for (place, message) in messages {
            let is_open = matches!(
                &message.role,
                Role::User {
                    turn: TurnState::Open,
                    ..
                }
            );
            let is_kept = self.sessions.contains_key(&place.0);
            if is_open && is_kept && !turns.remove(place) {
                self.fault(format!("open_turns: ({}, {}) has no row", place.0, place.1));
            }
        }
        for (session, at) in turns {
            self.fault(format!("open_turns: ({session}, {at}) has no open message"));
        }
        Ok(())
    }

    fn message_keys(&mut self, messages: &Messages) -> Result<()> {
        for row in self.txn.open_table(MESSAGE_KEYS)?.iter()? {
            let (key, bytes) = row?;
            let session = SessionId::from(key.value().0);
            if !self.sessions.contains_key(&session) {
                continue;
            }
            match record::decode_time(bytes.value()) {
                Ok(at) if messages.contains_key(&(session, at)) => {}
                Ok(at) => self.fault(format!("message_keys: ({session}, {at}) is no message")),
                Err(error) => self.fault(format!("message_keys: {session}: {error}")),
            }
        }
        Ok(())
    }

    fn submit_keys(&mut self, messages: &Messages) -> Result<()> {
        for row in self.txn.open_table(SUBMIT_KEYS)?.iter()? {
            let (key, bytes) = row?;
            let session = SessionId::from(key.value().0);
            if !self.sessions.contains_key(&session) {
                continue;
            }
            match record::decode_time(bytes.value()) {
                Ok(at) if messages.get(&(session, at)).is_some_and(Message::is_agent) => {}
                Ok(at) => self.fault(format!("submit_keys: ({session}, {at}) is no reply")),
                Err(error) => self.fault(format!("submit_keys: {session}: {error}")),
            }
        }
        Ok(())
    }

    fn upstreams(&mut self) -> Result<()> {
        for row in self.txn.open_table(UPSTREAMS)?.iter()? {
            let (session, bytes) = row?;
            let session = SessionId::from(session.value());
            if !self.sessions.contains_key(&session) {
                self.fault(format!("upstreams: {session} is no session"));
            }
            if let Err(error) = record::decode_upstream(bytes.value()) {
                self.fault(format!("upstreams: {session}: {error}"));
            }
        }
        Ok(())
    }

    fn create_keys(&mut self) -> Result<()> {
        for row in self.txn.open_table(CREATE_KEYS)?.iter()? {
            let (_, bytes) = row?;
            match record::decode_claim(bytes.value()) {
                Ok(claim) if self.sessions.contains_key(&claim.session_id) => {}
                Ok(claim) => {
                    self.fault(format!("create_keys: {} is no session", claim.session_id));
                }
                Err(error) => self.fault(format!("create_keys: {error}")),
            }
        }
        Ok(())
    }
}

/// Whether a replied message has its reply: of the id that was fixed for it, or one that a later
/// message shares with it.
fn has_its_reply(messages: &Messages, message: &Message) -> bool {
    let Role::User {
        reply_id,
        turn: TurnState::Replied(at),
        ..
    } = &message.role
    else {
        return true;
    };
    let Some(reply) = messages.get(&(message.session_id, *at)) else {
        return false;
    };
    let Role::Agent { in_reply_to, .. } = &reply.role else {
        return false;
    };
    if reply.id == *reply_id {
        return *in_reply_to == Some(message.id);
    }
    let later = (message.session_id, message.created_at.next())..(message.session_id, *at);
    messages.range(later).any(|(_, other)| {
        let has_the_same = matches!(
            &other.role,
            Role::User { reply_id, turn: TurnState::Replied(other_at), .. }
                if *reply_id == reply.id && other_at == at
        );
        has_the_same && *in_reply_to == Some(other.id)
    })
}
