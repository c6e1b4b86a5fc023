//! The parts of a session other than its messages.

use std::collections::{HashMap, HashSet};

use super::cursor::CurrentSession;
use super::slice::Slice;
use crate::domain::archive::{ArchivedKey, ArchivedSession, CreateKeyUse, Item, Quarantined};
use crate::domain::id::SessionId;
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::store::error::ReadResult;
use crate::store::quarantine;
use crate::store::quarantine::location::{KeyKind, RecordLocation, UNKNOWN_OWNER};
use crate::store::read::reader::Reader;
use crate::store::schema::record::{self, RecordError, SubmitClaim};
use crate::store::schema::tables::{
    CREATE_KEYS, DAMAGED, MESSAGE_KEYS, OPEN_TURNS, REMOTE_SESSIONS, SUBMIT_KEYS, names_of,
};

impl Slice<'_> {
    /// Adds a session, and those of its own records that cannot be decoded.
    pub(super) fn session(&mut self, session: Session) -> ReadResult<()> {
        let id = session.id;
        let index = self.items.len();
        let claim = self.try_read(id, "its createKey's claim", |reader| {
            reader.claim_bytes(&session)
        })?;
        let claim = match (claim.flatten(), &session.create_key) {
            (Some(bytes), Some(key)) => match record::decode_claim(&bytes) {
                // The key may belong to a later session by now.
                Ok(claim) => (claim.session_id == id).then_some(CreateKeyUse {
                    created_at: claim.created_at,
                    digest: claim.digest,
                }),
                Err(error) => {
                    let location = RecordLocation::CreateKey(session.user_id, key.clone());
                    self.undecodable(UNKNOWN_OWNER, location, &error, bytes);
                    None
                }
            },
            _ => None,
        };
        let remote = self.try_read(id, "upstream", |reader| reader.remote_session_bytes(id))?;
        let remote_session = remote.flatten().and_then(|bytes| {
            let name = record::decode_remote_session(&bytes);
            let location = RecordLocation::RemoteSession;
            name.map_err(|error| self.undecodable(id, location, &error, bytes))
                .ok()
        });
        let archived = ArchivedSession {
            session,
            create_key_use: claim,
            remote_session,
        };
        // A session precedes its damaged records.
        self.items.insert(index, Item::Session(archived));
        Ok(())
    }

    /// Adds the quarantined records of a session; returns the times of the messages among them.
    pub(super) fn quarantined_of(&mut self, id: SessionId) -> ReadResult<HashSet<Timestamp>> {
        let rows = self.try_read(id, "its quarantined records", |reader| {
            reader.quarantined_of(id)
        })?;
        let rows = rows.unwrap_or_default();
        let messages = rows
            .iter()
            .filter_map(|row| RecordLocation::message_time(&row.location));
        let messages = messages.collect();
        self.items.extend(rows.into_iter().map(Item::Quarantined));
        Ok(messages)
    }

    /// Begins the messages of a session, and adds those of its turns and keys that cannot be
    /// decoded.
    pub(super) fn begin_messages(
        &mut self,
        id: SessionId,
        is_read: bool,
        quarantined: HashSet<Timestamp>,
    ) -> ReadResult<CurrentSession> {
        let until = self.try_read(id, "its last message", |reader| reader.last_message(id))?;
        let mut turns = HashMap::new();
        let rows = self.try_read(id, "its open turns", |reader| reader.turn_bytes(id))?;
        for (position, bytes) in rows.unwrap_or_default() {
            match record::decode_turn(id, position, &bytes) {
                Ok(turn) => drop(turns.insert(turn.message_at, turn)),
                Err(error) => self.undecodable(id, RecordLocation::Turn(position), &error, bytes),
            }
        }
        let mut keys: HashMap<_, Vec<_>> = HashMap::new();
        let mut errors: HashMap<_, Vec<_>> = HashMap::new();
        for kind in [KeyKind::Send, KeyKind::Submit] {
            let rows = self.try_read(id, "its keys", |reader| reader.key_bytes(kind, id))?;
            for (name, bytes) in rows.unwrap_or_default() {
                let key = IdempotencyKey::parse(&name);
                if let Some(key) = &key
                    && record::is_submitted_error(&bytes)
                    && let Ok(SubmitClaim::Error(at, error)) =
                        record::decode_submit_claim(key, &bytes)
                {
                    errors.entry(at).or_default().push(error);
                    continue;
                }
                match (key_row(kind, &bytes), key) {
                    (Ok((at, session_metadata)), Some(key)) => {
                        let key = ArchivedKey {
                            key,
                            session_metadata,
                        };
                        keys.entry(at).or_default().push(key);
                    }
                    (Err(error), Some(key)) => {
                        self.undecodable(id, RecordLocation::Key(kind, key), &error, bytes);
                    }
                    (decoded, None) => {
                        let layout = || RecordError::Layout("not an idempotency key".into());
                        let error = decoded.err().unwrap_or_else(layout);
                        self.damaged(id, kind.location(&name), error.to_string(), bytes);
                    }
                }
            }
        }
        Ok(CurrentSession {
            id,
            is_read,
            after: Timestamp::MIN,
            until: until.unwrap_or(Timestamp::MAX),
            turns,
            keys,
            errors,
            quarantined,
            awaited: HashSet::new(),
        })
    }
}

/// Decodes the row of a key that is not one of an error.
fn key_row(kind: KeyKind, bytes: &[u8]) -> Result<(Timestamp, Option<RequestDigest>), RecordError> {
    match kind {
        KeyKind::Send => Ok((record::decode_time(bytes)?, None)),
        KeyKind::Submit => record::decode_submitted_reply(bytes),
    }
}

impl Reader<'_> {
    fn claim_bytes(&self, session: &Session) -> ReadResult<Option<Vec<u8>>> {
        let Some(key) = &session.create_key else {
            return Ok(None);
        };
        let claims = self.snapshot.txn.open_table(CREATE_KEYS)?;
        let bytes = claims.get((u128::from(session.user_id), key.as_str()))?;
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    fn remote_session_bytes(&self, id: SessionId) -> ReadResult<Option<Vec<u8>>> {
        let table = self.snapshot.txn.open_table(REMOTE_SESSIONS)?;
        let bytes = table.get(u128::from(id))?;
        Ok(bytes.map(|bytes| bytes.value().to_vec()))
    }

    fn quarantined_of(&self, id: SessionId) -> ReadResult<Vec<Quarantined>> {
        let mut found = Vec::new();
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        for row in rows.range::<(u128, &str)>(names_of(id.into()))? {
            let (key, bytes) = row?;
            let (owner, location) = key.value();
            found.push(quarantine::quarantined_row(
                owner.into(),
                location,
                bytes.value(),
            ));
        }
        Ok(found)
    }

    /// Returns the quarantined record of a location.
    pub(super) fn quarantined_at(
        &self,
        id: SessionId,
        location: &RecordLocation,
    ) -> ReadResult<Option<Quarantined>> {
        let place = location.to_string();
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        let row = rows.get((u128::from(id), place.as_str()))?;
        Ok(row.map(|bytes| quarantine::quarantined_row(id, &place, bytes.value())))
    }

    /// Returns the time of a session's last message; the minimum if there is none.
    pub(super) fn last_message(&self, id: SessionId) -> ReadResult<Timestamp> {
        let raw = u128::from(id);
        let messages = &self.snapshot.messages;
        let last = messages
            .range((raw, i64::MIN)..=(raw, i64::MAX))?
            .next_back();
        let last = last.transpose()?.map(|(key, _)| Timestamp(key.value().1));
        Ok(last.unwrap_or(Timestamp::MIN))
    }

    fn turn_bytes(&self, id: SessionId) -> ReadResult<Vec<(u32, Vec<u8>)>> {
        let raw = u128::from(id);
        let mut turns = Vec::new();
        let rows = self.snapshot.txn.open_table(OPEN_TURNS)?;
        for row in rows.range((raw, 0)..=(raw, u32::MAX))? {
            let (key, bytes) = row?;
            turns.push((key.value().1, bytes.value().to_vec()));
        }
        Ok(turns)
    }

    fn key_bytes(&self, kind: KeyKind, id: SessionId) -> ReadResult<Vec<(String, Vec<u8>)>> {
        let table = match kind {
            KeyKind::Send => MESSAGE_KEYS,
            KeyKind::Submit => SUBMIT_KEYS,
        };
        let mut keys = Vec::new();
        let rows = self.snapshot.txn.open_table(table)?;
        for row in rows.range::<(u128, &str)>(names_of(id.into()))? {
            let (key, bytes) = row?;
            keys.push((key.value().1.to_owned(), bytes.value().to_vec()));
        }
        Ok(keys)
    }
}
