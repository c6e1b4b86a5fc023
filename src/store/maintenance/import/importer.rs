//! Applies the items of an export to the rows of a database.

use std::collections::{HashMap, HashSet};

use super::conflicts::{ClaimOutcome, claim_outcome};
use crate::domain::archive::{ArchivedKey, ArchivedMessage, ArchivedSession, Item, Quarantined};
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::ClosedReason;
use crate::store::command::erase;
use crate::store::error::{CommandError, CommandResult, ImportError, OpenError};
use crate::store::quarantine;
use crate::store::quarantine::location::{KeyKind, RecordLocation, UNKNOWN_OWNER};
use crate::store::schema::record::CreateClaim;
use crate::store::write::txn::Txn;

/// The number of a line and its item, or what is wrong with the line.
pub type Line = (u64, Result<Item, String>);

/// The numbers of imported records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Sessions.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Quarantined records.
    pub quarantined: u64,
}

/// The state after the items so far.
#[derive(Default)]
pub(crate) struct Importer {
    pub(crate) imported: Imported,
    current: Option<CurrentSession>,
}

/// The session to which the next messages belong.
struct CurrentSession {
    id: SessionId,
    /// Whether its own record is quarantined.
    is_lost: bool,
    last_message: Timestamp,
    ids: MessageIds,
    positions: HashSet<u32>,
    /// The messages whose turns are open and have no position.
    unplaced: Vec<Timestamp>,
    /// The replies that must follow.
    replies: HashMap<Timestamp, AwaitedReply>,
    quarantined_messages: HashSet<String>,
}

/// The ids in a session, none of which is there twice.
#[derive(Default)]
struct MessageIds {
    messages: HashSet<MessageId>,
    turns: HashSet<TurnId>,
    /// Reserved for the replies to the messages.
    replies: HashSet<MessageId>,
}

impl MessageIds {
    fn add(&mut self, message: &Message) -> Result<(), &'static str> {
        if !self.messages.insert(message.id) {
            return Err("another message of the session has its id");
        }
        let Role::User {
            turn_id, reply_id, ..
        } = &message.role
        else {
            return Ok(());
        };
        if self.replies.contains(&message.id) {
            return Err("its id is the replyId of another message of the session");
        }
        if !self.turns.insert(*turn_id) {
            return Err("another message of the session has its turnId");
        }
        if self.messages.contains(reply_id) || !self.replies.insert(*reply_id) {
            return Err("another message of the session has its replyId");
        }
        Ok(())
    }
}

/// A reply that must follow.
struct AwaitedReply {
    /// The number of the line that requires it.
    line: u64,
    id: MessageId,
    /// The time of the message that requires it.
    message_at: Timestamp,
}

impl CurrentSession {
    /// Whether a reply is the awaited one. If a later message shares the reply, it has the id that
    /// was reserved for that message, which may be quarantined.
    fn is_awaited(&self, awaited: &AwaitedReply, reply: &Message) -> bool {
        let is_between = |at| awaited.message_at < at && at < reply.created_at;
        let mut quarantined = self.quarantined_messages.iter();
        awaited.id == reply.id
            || quarantined.any(|place| RecordLocation::message_time(place).is_some_and(is_between))
    }

    /// Notes the reply that a message requires, or checks the message that is a required reply.
    fn match_reply(&mut self, number: u64, message: &Message) -> Result<(), ImportError> {
        let at = message.created_at;
        match &message.role {
            Role::User {
                reply_id,
                turn: TurnState::Replied(reply_at),
                ..
            } => {
                if *reply_at <= at {
                    return invalid(number, "its reply is not later than itself");
                }
                let awaited = AwaitedReply {
                    line: number,
                    id: *reply_id,
                    message_at: at,
                };
                self.replies.insert(*reply_at, awaited);
            }
            Role::Agent { .. } => {
                if let Some(awaited) = self.replies.remove(&at)
                    && !self.is_awaited(&awaited, message)
                {
                    return invalid(awaited.line, "its reply has another id");
                }
            }
            Role::User { .. } => {}
        }
        Ok(())
    }

    /// Opens the turns that have no position after the others.
    fn place_turns(&self, txn: &mut Txn<'_>) -> CommandResult<()> {
        if self.unplaced.is_empty() {
            return Ok(());
        }
        let (_, mut position) = txn.open_turns_and_next(self.id)?;
        for message_at in &self.unplaced {
            txn.put_turn(&OpenTurn {
                session_id: self.id,
                position,
                message_at: *message_at,
                begun: true,
                running: false,
                crashes: 0,
                waits_until: None,
            })?;
            position = position.saturating_add(1);
        }
        Ok(())
    }
}

impl Importer {
    /// Applies an item. `number` is that of its line.
    pub(crate) fn apply(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        item: Item,
    ) -> Result<(), ImportError> {
        let applied = match item {
            Item::Session(session) => self.session(txn, number, session),
            Item::Message(message) => self.message(txn, number, message),
            Item::Quarantined(record) => self.quarantined(txn, number, &record),
            Item::Deleted(id) => self.deleted(txn, number, id),
        };
        // What it refers to can only be damaged because an earlier line says so.
        applied.map_err(|error| match error {
            ImportError::Failed(OpenError::Damaged(reason)) => ImportError::Line { number, reason },
            error => error,
        })
    }

    /// Completes the last session. Places the open turns of a complete session, and refuses one
    /// whose messages lack their replies.
    pub(crate) fn end_session(&mut self, txn: &mut Txn<'_>) -> Result<(), ImportError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        current.place_turns(txn)?;
        let is_missing = |at: &Timestamp| {
            let place = RecordLocation::Message(*at).to_string();
            !current.quarantined_messages.contains(&place)
        };
        let missing = current.replies.iter().filter(|(at, _)| is_missing(at));
        match missing.map(|(_, awaited)| awaited.line).min() {
            None => Ok(()),
            Some(line) => invalid(line, "its reply does not follow"),
        }
    }

    fn session(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        archived: ArchivedSession,
    ) -> Result<(), ImportError> {
        self.begin_session(txn, number, archived.session.id, false)?;
        let claim = claim_outcome(txn, &archived)?;
        let ArchivedSession {
            session,
            create_key_use,
            remote_session,
        } = archived;
        txn.insert_session(&session)?;
        if let Some(name) = remote_session {
            txn.put_remote_session(session.id, &name)?;
        }
        match (claim, &session.create_key, create_key_use) {
            (ClaimOutcome::Conflict, ..) => {
                return invalid(number, "another session has claimed its createKey");
            }
            (ClaimOutcome::Stored, Some(key), Some(claim)) => {
                let claim = CreateClaim {
                    session_id: session.id,
                    created_at: claim.created_at,
                    digest: claim.digest,
                };
                txn.put_create_claim(session.user_id, key, &claim)?;
            }
            (_, None, Some(_)) => return invalid(number, "it has a claim but no createKey"),
            _ => {}
        }
        self.imported.sessions += 1;
        Ok(())
    }

    fn begin_session(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        id: SessionId,
        is_lost: bool,
    ) -> Result<(), ImportError> {
        self.end_session(txn)?;
        let is_known = match txn.session(id) {
            Ok(session) => session.is_some(),
            Err(CommandError::Record(_)) => true,
            Err(error) => return Err(error.into()),
        };
        if is_known {
            return invalid(number, &format!("session {id} is there twice"));
        }
        self.current = Some(CurrentSession {
            id,
            is_lost,
            last_message: Timestamp::MIN,
            ids: MessageIds::default(),
            positions: HashSet::new(),
            unplaced: Vec::new(),
            replies: HashMap::new(),
            quarantined_messages: HashSet::new(),
        });
        Ok(())
    }

    fn message(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        archived: ArchivedMessage,
    ) -> Result<(), ImportError> {
        let ArchivedMessage {
            message,
            keys,
            turn,
            errors,
        } = archived;
        let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.id == message.session_id)
        else {
            return invalid(number, "it does not follow its session");
        };
        let at = message.created_at;
        if at <= current.last_message {
            return invalid(number, "it is not later than the message before it");
        }
        current.last_message = at;
        if let Err(reason) = current.ids.add(&message) {
            return invalid(number, reason);
        }
        match txn.put_message(&message) {
            Err(CommandError::Record(error)) => return invalid(number, &error.to_string()),
            other => other?,
        }
        let is_open = message.has_open_turn();
        if turn.is_some() && !is_open {
            return invalid(number, "it has an open turn but says that it was answered");
        }
        current.match_reply(number, &message)?;
        match turn {
            _ if !is_open || current.is_lost => {}
            None => current.unplaced.push(at),
            Some(turn) if current.positions.insert(turn.position) => txn.put_turn(&turn)?,
            Some(_) => return invalid(number, "another turn of the session has its position"),
        }
        let kind = if message.is_agent() {
            KeyKind::Submit
        } else {
            KeyKind::Send
        };
        for ArchivedKey {
            key,
            session_metadata,
        } in keys
        {
            let is_used = match kind {
                KeyKind::Send => txn.message_of_key(kind, current.id, &key)?.is_some(),
                KeyKind::Submit => txn.submit_claim(current.id, &key)?.is_some(),
            };
            if is_used {
                return invalid(number, "another message of the session has its key");
            }
            match kind {
                KeyKind::Send => txn.put_key(kind, current.id, &key, at)?,
                KeyKind::Submit => {
                    txn.put_submitted_reply(current.id, &key, at, session_metadata)?;
                }
            }
        }
        for error in errors {
            if txn.submit_claim(current.id, &error.key)?.is_some() {
                return invalid(number, "another message of the session has its key");
            }
            txn.put_submitted_error(current.id, at, &error)?;
        }
        self.imported.messages += 1;
        Ok(())
    }

    fn quarantined(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        record: &Quarantined,
    ) -> Result<(), ImportError> {
        let current_id = self.current.as_ref().map(|current| current.id);
        if record.owner != UNKNOWN_OWNER && current_id != Some(record.owner) {
            // A session whose own record is lost may begin with any of its records.
            self.begin_session(txn, number, record.owner, true)?;
        }
        if let Some(current) = &mut self.current
            && current.id == record.owner
        {
            current.quarantined_messages.insert(record.location.clone());
            current.is_lost |= quarantine::is_session(record);
        }
        // The keys of an export are never both.
        if let Some(key) = RecordLocation::parse_key(&record.location)
            && txn.record_bytes(record.owner, &key)?.is_some()
        {
            return invalid(number, "its key is in use, too");
        }
        match txn.put_quarantined(record) {
            Err(CommandError::Record(error)) => invalid(number, &error.to_string()),
            other => {
                self.imported.quarantined += 1;
                Ok(other?)
            }
        }
    }

    fn deleted(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        id: SessionId,
    ) -> Result<(), ImportError> {
        let Some(current) = self.current.take().filter(|current| current.id == id) else {
            return invalid(number, "it does not follow its session");
        };
        let session = if current.is_lost {
            None
        } else {
            txn.session(id)?
        };
        erase(txn, id, session.as_ref(), ClosedReason::Deleted, usize::MAX)?;
        self.imported.sessions -= u64::from(session.is_some());
        Ok(())
    }
}

fn invalid(number: u64, reason: &str) -> Result<(), ImportError> {
    let reason = reason.to_owned();
    Err(ImportError::Line { number, reason })
}
