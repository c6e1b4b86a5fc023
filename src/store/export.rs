//! Everything stored, in slices: each is read from a snapshot of its own, so that none is held
//! while the export goes its way.
//!
//! A session is exported as it is when its first slice is read. Where its messages need another
//! slice, what has happened in between is left out: messages that came later, and replies to
//! turns that were open.

use std::collections::HashMap;
use std::ops::Bound;

use super::aside;
use super::damage::{NOBODY, Spot};
use super::error::ReadError;
use super::reader::Reader;
use super::record;
use super::tables::{CREATE_KEYS, DAMAGED, MESSAGE_KEYS, OPEN_TURNS, SUBMIT_KEYS};
use crate::domain::archive::{ArchivedMessage, ArchivedSession, Claim, Item, SetAside};
use crate::domain::id::SessionId;
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;

type Result<T> = std::result::Result<T, ReadError>;

/// How far an export is.
#[derive(Debug, Default)]
pub struct Cursor {
    only: Option<SessionId>,
    /// The last session whose items were all given.
    after: Option<SessionId>,
    within: Option<Within>,
    is_done: bool,
}

/// A session that is being exported, as it was when that began.
#[derive(Debug)]
struct Within {
    id: SessionId,
    /// The last message that was given.
    after: Timestamp,
    /// The last message that there was.
    until: Timestamp,
    turns: HashMap<Timestamp, OpenTurn>,
    keys: HashMap<Timestamp, Vec<IdempotencyKey>>,
}

impl Cursor {
    /// From the beginning, of everything.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Of one session.
    #[must_use]
    pub fn only(session: SessionId) -> Self {
        Self {
            only: Some(session),
            ..Self::default()
        }
    }

    /// Whether everything was given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

impl Reader<'_> {
    /// The next items, of about `rows` rows.
    ///
    /// # Errors
    /// The database fails.
    pub fn export(&self, cursor: &mut Cursor, rows: usize, now: Timestamp) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while items.len() < rows && !cursor.is_done {
            match cursor.within.take() {
                Some(within) => cursor.within = self.messages_of(within, rows, now, &mut items)?,
                None => self.next_session(cursor, now, &mut items)?,
            }
        }
        Ok(items)
    }

    /// Gives the next session's own items and goes into it.
    fn next_session(
        &self,
        cursor: &mut Cursor,
        now: Timestamp,
        items: &mut Vec<Item>,
    ) -> Result<()> {
        let next = match cursor.only {
            Some(only) => (cursor.after != Some(only)).then_some(only),
            None => self.next_owner(cursor.after)?,
        };
        let Some(id) = next else {
            cursor.is_done = true;
            return Ok(());
        };
        cursor.after = Some(id);
        let before = items.len();
        let sessions = &self.snapshot.sessions;
        if let Some(bytes) = sessions.get(u128::from(id))? {
            items.push(match record::decode_session(id, bytes.value()) {
                Ok(session) => Item::Session(self.archived(session)?),
                Err(error) => {
                    self.damage.note(id, Spot::Session, &error);
                    damaged(id, &Spot::Session, &error, bytes.value(), now)
                }
            });
        }
        self.set_aside_of(id, items)?;
        if items.len() > before && id != NOBODY {
            cursor.within = Some(self.within(id)?);
        }
        Ok(())
    }

    /// The next id that has a session, or records that are set aside.
    fn next_owner(&self, after: Option<SessionId>) -> Result<Option<SessionId>> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(u128::from(id)));
        let sessions = &self.snapshot.sessions;
        let session = sessions.range((start, Bound::Unbounded))?.next();
        let session = session.transpose()?.map(|(id, _)| id.value());

        let damaged = self.snapshot.txn.open_table(DAMAGED)?;
        let owner = match after {
            None => damaged.range((0_u128, "")..)?.next(),
            Some(id) => match u128::from(id).checked_add(1) {
                None => None,
                Some(next) => damaged.range((next, "")..)?.next(),
            },
        };
        let owner = owner.transpose()?.map(|(key, _)| key.value().0);
        Ok(session.into_iter().chain(owner).min().map(SessionId::from))
    }

    fn archived(&self, session: Session) -> Result<ArchivedSession> {
        Ok(ArchivedSession {
            claim: self.claim_of(&session)?,
            upstream: self.upstream(session.id)?,
            session,
        })
    }

    fn claim_of(&self, session: &Session) -> Result<Option<Claim>> {
        let Some(key) = &session.create_key else {
            return Ok(None);
        };
        let claims = self.snapshot.txn.open_table(CREATE_KEYS)?;
        let row = claims.get((u128::from(session.user_id), key.as_str()))?;
        let claim = row.and_then(|bytes| record::decode_claim(bytes.value()).ok());
        let claim = claim.filter(|claim| claim.session_id == session.id);
        Ok(claim.map(|claim| Claim {
            created_at: claim.created_at,
            timeout: claim.timeout,
        }))
    }

    fn set_aside_of(&self, id: SessionId, items: &mut Vec<Item>) -> Result<()> {
        let raw = u128::from(id);
        let rows = self.snapshot.txn.open_table(DAMAGED)?;
        for row in rows.range((raw, "")..(raw.saturating_add(1), ""))? {
            let (key, bytes) = row?;
            let (owner, place) = key.value();
            items.push(Item::SetAside(aside::of_row(
                owner.into(),
                place,
                bytes.value(),
            )));
        }
        Ok(())
    }

    fn within(&self, id: SessionId) -> Result<Within> {
        let raw = u128::from(id);
        let messages = &self.snapshot.messages;
        let last = messages
            .range((raw, i64::MIN)..=(raw, i64::MAX))?
            .next_back();
        let until = last.transpose()?.map_or(i64::MIN, |(key, _)| key.value().1);
        let mut turns = HashMap::new();
        let rows = self.snapshot.txn.open_table(OPEN_TURNS)?;
        for row in rows.range((raw, 0)..=(raw, u32::MAX))? {
            let (key, bytes) = row?;
            let turn = record::decode_turn(id, key.value().1, bytes.value());
            turns.extend(turn.map(|turn| (turn.message_at, turn)));
        }
        let mut keys: HashMap<Timestamp, Vec<IdempotencyKey>> = HashMap::new();
        for table in [MESSAGE_KEYS, SUBMIT_KEYS] {
            let rows = self.snapshot.txn.open_table(table)?;
            for row in rows.range((raw, "")..(raw.saturating_add(1), ""))? {
                let (key, bytes) = row?;
                let (_, name) = key.value();
                let at = record::decode_time(bytes.value()).ok();
                if let (Some(at), Some(key)) = (at, IdempotencyKey::parse(name)) {
                    keys.entry(at).or_default().push(key);
                }
            }
        }
        Ok(Within {
            id,
            after: Timestamp::MIN,
            until: Timestamp(until),
            turns,
            keys,
        })
    }

    /// Gives the session's next messages; returns where to go on, none at its end.
    fn messages_of(
        &self,
        mut within: Within,
        rows: usize,
        now: Timestamp,
        items: &mut Vec<Item>,
    ) -> Result<Option<Within>> {
        let raw = u128::from(within.id);
        if within.after > Timestamp::MIN && self.is_gone(within.id)? {
            items.push(Item::Deleted(within.id));
            return Ok(None);
        }
        let start = Bound::Excluded((raw, within.after.0));
        let end = Bound::Included((raw, within.until.0));
        if within.after >= within.until {
            return Ok(None);
        }
        let messages = &self.snapshot.messages;
        for row in messages.range((start, end))? {
            if items.len() >= rows {
                return Ok(Some(within));
            }
            let (key, bytes) = row?;
            let at = Timestamp(key.value().1);
            within.after = at;
            items.push(match record::decode_message(within.id, at, bytes.value()) {
                Ok(message) => Item::Message(within.archived(message)),
                Err(error) => {
                    let spot = Spot::Message(at);
                    self.damage.note(within.id, spot.clone(), &error);
                    damaged(within.id, &spot, &error, bytes.value(), now)
                }
            });
        }
        Ok(None)
    }

    /// Whether a session was deleted while it was exported.
    fn is_gone(&self, id: SessionId) -> Result<bool> {
        let raw = u128::from(id);
        if self.snapshot.sessions.get(raw)?.is_some() {
            return Ok(false);
        }
        let place = Spot::Session.to_string();
        let damaged = self.snapshot.txn.open_table(DAMAGED)?;
        Ok(damaged.get((raw, place.as_str()))?.is_none())
    }
}

impl Within {
    /// The message as it was when the export of its session began.
    fn archived(&mut self, mut message: Message) -> ArchivedMessage {
        let at = message.created_at;
        let was_open = self.turns.remove(&at);
        if let Role::User { turn, .. } = &mut message.role {
            let is_later = matches!(turn, TurnState::Replied(reply_at) if *reply_at > self.until);
            if was_open.is_some() || is_later {
                *turn = TurnState::Open;
            }
        }
        ArchivedMessage {
            message,
            keys: self.keys.remove(&at).unwrap_or_default(),
            turn: was_open,
        }
    }
}

fn damaged(
    owner: SessionId,
    spot: &Spot,
    error: &record::RecordError,
    bytes: &[u8],
    now: Timestamp,
) -> Item {
    Item::SetAside(SetAside {
        owner,
        place: spot.to_string(),
        reason: error.to_string(),
        found_at: now,
        expires_at: None,
        bytes: bytes.to_vec(),
    })
}
