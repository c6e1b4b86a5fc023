//! What belongs to a session, but for its messages.

use std::collections::{HashMap, HashSet};

use super::messages::Within;
use super::seek::guarded;
use super::{Result, Slice};
use crate::domain::archive::{ArchivedSession, Claim, Item, Quarantined};
use crate::domain::id::SessionId;
use crate::domain::key::IdempotencyKey;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::store::quarantine;
use crate::store::quarantine::damage::{KeyKind, NOBODY, RecordLocation};
use crate::store::read::reader::Reader;
use crate::store::schema::record::{self, RecordError};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, MESSAGE_KEYS, OPEN_TURNS, SUBMIT_KEYS, UPSTREAMS, names_of,
};

/// A record that cannot be decoded.
pub(super) type Bad = (SessionId, RecordLocation, RecordError, Vec<u8>);

/// What was decoded, or what cannot be.
type Decoded<T> = Option<std::result::Result<T, Bad>>;

/// The open turns of a session by their messages, and those that cannot be decoded.
#[derive(Default)]
struct Turns {
    of: HashMap<Timestamp, OpenTurn>,
    /// Each with its position.
    bad: Vec<(u32, RecordError, Vec<u8>)>,
}

/// The keys of a session's messages, and those that cannot be decoded.
#[derive(Default)]
struct Keys {
    of: HashMap<Timestamp, Vec<IdempotencyKey>>,
    /// What each is called, since a damaged one need not be a key.
    bad: Vec<(String, RecordError, Vec<u8>)>,
}

impl Slice<'_> {
    /// A session with what its line holds, and what cannot be decoded of that.
    pub(super) fn archived(&mut self, session: Session) -> Result<(ArchivedSession, Vec<Bad>)> {
        let (reader, id) = (self.reader, session.id);
        let mut bad = Vec::new();
        let claim = guarded(|| reader.claim_of(&session));
        let claim = self.unless_lost(id, "its createKey's claim", claim)?;
        let upstream = guarded(|| reader.upstream_of(id));
        let upstream = self.unless_lost(id, "upstream", upstream)?;
        let archived = ArchivedSession {
            claim: sound(claim.flatten(), &mut bad),
            upstream: sound(upstream.flatten(), &mut bad),
            session,
        };
        Ok((archived, bad))
    }

    /// Gives the records of a session that are set aside; returns which messages are among them.
    pub(super) fn set_aside_of(&mut self, id: SessionId) -> Result<HashSet<Timestamp>> {
        let reader = self.reader;
        let rows = guarded(|| reader.set_aside_of(id));
        let rows = self.unless_lost(id, "what is set aside", rows)?;
        let rows = rows.unwrap_or_default();
        let messages = rows
            .iter()
            .filter_map(|row| RecordLocation::message_of(&row.place));
        let messages = messages.collect();
        self.items.extend(rows.into_iter().map(Item::Quarantined));
        Ok(messages)
    }

    /// Goes into a session, and gives those of its turns and keys that cannot be decoded.
    pub(super) fn within(
        &mut self,
        id: SessionId,
        is_read: bool,
        aside: HashSet<Timestamp>,
    ) -> Result<Within> {
        let reader = self.reader;
        let until = guarded(|| reader.last_message(id));
        let until = self.unless_lost(id, "its last message", until)?;
        let turns = guarded(|| reader.turns_of(id));
        let turns = self.unless_lost(id, "its open turns", turns)?;
        let turns = turns.unwrap_or_default();
        for (position, error, bytes) in turns.bad {
            let spot = RecordLocation::Turn(position);
            reader.damage.note(id, spot.clone(), &error);
            self.damaged(id, spot.to_string(), error.to_string(), bytes);
        }
        let mut keys = HashMap::new();
        for of in [KeyKind::Send, KeyKind::Submit] {
            let found = guarded(|| reader.keys_of(of, id));
            let found = self.unless_lost(id, "its keys", found)?;
            self.keys(id, found.unwrap_or_default(), &mut keys);
        }
        Ok(Within {
            id,
            is_read,
            after: Timestamp::MIN,
            until: until.unwrap_or(Timestamp::MAX),
            turns: turns.of,
            keys,
            aside,
            awaited: HashSet::new(),
        })
    }

    fn keys(
        &mut self,
        id: SessionId,
        found: Keys,
        all: &mut HashMap<Timestamp, Vec<IdempotencyKey>>,
    ) {
        for (place, error, bytes) in found.bad {
            self.damaged(id, place, error.to_string(), bytes);
        }
        for (at, keys) in found.of {
            all.entry(at).or_default().extend(keys);
        }
    }
}

fn sound<T>(decoded: Decoded<T>, bad: &mut Vec<Bad>) -> Option<T> {
    match decoded? {
        Ok(record) => Some(record),
        Err(record) => {
            bad.push(record);
            None
        }
    }
}

impl Reader<'_> {
    fn claim_of(&self, session: &Session) -> Result<Decoded<Claim>> {
        let Some(key) = &session.create_key else {
            return Ok(None);
        };
        let claims = self.snapshot.txn.open_table(CREATE_KEYS)?;
        let Some(bytes) = claims.get((u128::from(session.user_id), key.as_str()))? else {
            return Ok(None);
        };
        let claim = match record::decode_claim(bytes.value()) {
            Ok(claim) => claim,
            Err(error) => {
                let spot = RecordLocation::CreateKey(session.user_id, key.clone());
                return Ok(Some(Err((NOBODY, spot, error, bytes.value().to_vec()))));
            }
        };
        // The key may name a later session by now.
        let is_ours = claim.session_id == session.id;
        Ok(is_ours.then_some(Ok(Claim {
            created_at: claim.created_at,
            timeout: claim.timeout,
        })))
    }

    fn upstream_of(&self, id: SessionId) -> Result<Decoded<String>> {
        let table = self.snapshot.txn.open_table(UPSTREAMS)?;
        let bytes = table.get(u128::from(id))?;
        Ok(bytes.map(|bytes| {
            let name = record::decode_upstream(bytes.value());
            name.map_err(|error| (id, RecordLocation::Upstream, error, bytes.value().to_vec()))
        }))
    }

    fn set_aside_of(&self, id: SessionId) -> Result<Vec<Quarantined>> {
        let raw = u128::from(id);
        let mut found = Vec::new();
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        for row in rows.range::<(u128, &str)>(names_of(raw))? {
            let (key, bytes) = row?;
            let (owner, place) = key.value();
            found.push(quarantine::of_row(owner.into(), place, bytes.value()));
        }
        Ok(found)
    }

    /// The record that is set aside under a place.
    pub(super) fn aside_at(
        &self,
        id: SessionId,
        spot: &RecordLocation,
    ) -> Result<Option<Quarantined>> {
        let place = spot.to_string();
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        let row = rows.get((u128::from(id), place.as_str()))?;
        Ok(row.map(|bytes| quarantine::of_row(id, &place, bytes.value())))
    }

    /// When the last message of a session was stored; before all time where it has none.
    pub(super) fn last_message(&self, id: SessionId) -> Result<Timestamp> {
        let raw = u128::from(id);
        let messages = &self.snapshot.messages;
        let last = messages
            .range((raw, i64::MIN)..=(raw, i64::MAX))?
            .next_back();
        let last = last.transpose()?.map(|(key, _)| Timestamp(key.value().1));
        Ok(last.unwrap_or(Timestamp::MIN))
    }

    fn turns_of(&self, id: SessionId) -> Result<Turns> {
        let raw = u128::from(id);
        let mut turns = Turns::default();
        let rows = self.snapshot.txn.open_table(OPEN_TURNS)?;
        for row in rows.range((raw, 0)..=(raw, u32::MAX))? {
            let (key, bytes) = row?;
            let position = key.value().1;
            match record::decode_turn(id, position, bytes.value()) {
                Ok(turn) => drop(turns.of.insert(turn.message_at, turn)),
                Err(error) => turns.bad.push((position, error, bytes.value().to_vec())),
            }
        }
        Ok(turns)
    }

    fn keys_of(&self, of: KeyKind, id: SessionId) -> Result<Keys> {
        let raw = u128::from(id);
        let mut keys = Keys::default();
        let table = match of {
            KeyKind::Send => MESSAGE_KEYS,
            KeyKind::Submit => SUBMIT_KEYS,
        };
        let rows = self.snapshot.txn.open_table(table)?;
        for row in rows.range::<(u128, &str)>(names_of(raw))? {
            let (row, bytes) = row?;
            let (_, name) = row.value();
            let key = IdempotencyKey::parse(name);
            match (record::decode_time(bytes.value()), key) {
                (Ok(at), Some(key)) => keys.of.entry(at).or_default().push(key),
                (Ok(_), None) => {
                    let error = RecordError::Layout("not an idempotency key".into());
                    keys.bad(of, name, error, bytes.value());
                }
                (Err(error), key) => {
                    if let Some(key) = key {
                        self.damage.note(id, RecordLocation::Key(of, key), &error);
                    }
                    keys.bad(of, name, error, bytes.value());
                }
            }
        }
        Ok(keys)
    }
}

impl Keys {
    fn bad(&mut self, of: KeyKind, name: &str, error: RecordError, bytes: &[u8]) {
        self.bad.push((of.place(name), error, bytes.to_vec()));
    }
}
