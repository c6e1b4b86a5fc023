//! A new database of what an export holds: whole, or not at all.

use std::collections::{HashMap, HashSet};
use std::fs::File;

use redb::backends::FileBackend;
use redb::{Database, WriteTransaction};

use super::copy::{self, command_error};
use super::offline::Progress;
use crate::domain::archive::{ArchivedMessage, ArchivedSession, Item, Quarantined};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnState};
use crate::domain::rules::Rules;
use crate::domain::time::Timestamp;
use crate::domain::turn::OpenTurn;
use crate::store::command::erase;
use crate::store::error::{CommandError, CopyError, ImportError, OpenError};
use crate::store::file::open::{self, database_error, shielded};
use crate::store::file::panic_guard::PanicSafe;
use crate::store::quarantine;
use crate::store::quarantine::damage::{KeyKind, NOBODY, Quarantine, RecordLocation};
use crate::store::schema::record::CreateClaim;
use crate::store::write::txn::Txn;
use crate::store::write::writer::begin_write;

/// The new file's cache while it is made.
const CACHE_BYTES: usize = 64 << 20;

/// How many items share a transaction.
const BATCH: usize = 10_000;

/// An item with the number of the line on which it stands, or what is wrong with that line.
pub type Line = (u64, Result<Item, String>);

/// What was imported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Sessions.
    pub sessions: u64,
    /// Messages.
    pub messages: u64,
    /// Records that are set aside.
    pub set_aside: u64,
}

/// Makes a database of the items in an empty file, and checks it.
///
/// # Errors
/// A line does not fit, or the disk fails. The file is then of no use.
pub fn import(
    file: &File,
    lines: &mut dyn Iterator<Item = Line>,
    rules: &Rules,
    now: Timestamp,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, ImportError> {
    let handle = file.try_clone().map_err(OpenError::from)?;
    let mut made = PanicSafe::new(shielded(|| {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(FileBackend::new(handle).map_err(database_error)?)
            .map_err(database_error)
    })?);
    let database = made.get()?;
    open::prepare(database, now, rules, &Quarantine::default())?;
    let mut import = Import::default();
    while import.take_batch(database, lines, rules, now)? {}
    shielded(|| {
        let txn = begin_write(database).map_err(OpenError::Storage)?;
        open::write_stop(&txn, false).map_err(command_error)?;
        txn.commit()?;
        Ok(())
    })?;
    copy::settle(&mut made, rules, now, progress).map_err(|error| match error {
        CopyError::Failed(error) => ImportError::Failed(error),
        CopyError::Unsound(fault) => ImportError::Unsound(fault),
        CopyError::NoRoom { .. } => ImportError::Failed(OpenError::Damaged(error.to_string())),
    })?;
    made.close()?;
    file.sync_all().map_err(OpenError::from)?;
    Ok(import.imported)
}

/// What is known of the lines so far.
#[derive(Default)]
struct Import {
    imported: Imported,
    current: Option<Current>,
}

/// The session to which the next messages belong.
struct Current {
    id: SessionId,
    /// Its own record is among those that are set aside.
    is_lost: bool,
    last_message: Timestamp,
    positions: HashSet<u32>,
    /// Messages whose turns are open and have no position.
    unplaced: Vec<Timestamp>,
    /// The replies that are to come.
    replies: HashMap<Timestamp, Awaited>,
    messages_aside: HashSet<String>,
}

/// A reply that is to come.
struct Awaited {
    /// The line that says so.
    line: u64,
    id: MessageId,
    /// The message that says so.
    message_at: Timestamp,
}

impl Current {
    /// Whether a reply that came is the one that was awaited. Where a later message shared it, it
    /// has the id that was fixed for that one, which may be set aside.
    fn is_awaited(&self, awaited: &Awaited, reply: &Message) -> bool {
        let is_between = |at| awaited.message_at < at && at < reply.created_at;
        let mut aside = self.messages_aside.iter();
        awaited.id == reply.id
            || aside.any(|place| RecordLocation::message_of(place).is_some_and(is_between))
    }

    /// Opens the turns that have no position of their own behind the others.
    fn place_turns(&self, txn: &mut Txn<'_>) -> Result<(), CommandError> {
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

enum Stop {
    /// This line does not fit.
    Line(u64, String),
    Failed(CommandError),
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Self::Failed(error)
    }
}

impl Import {
    /// Takes the items of one transaction; returns whether there may be more.
    fn take_batch(
        &mut self,
        database: &Database,
        lines: &mut dyn Iterator<Item = Line>,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<bool, ImportError> {
        let damage = Quarantine::default();
        let txn: WriteTransaction = begin_write(database).map_err(OpenError::Storage)?;
        let mut rows = Txn::open(&txn, rules, &damage, now).map_err(command_error)?;
        let mut has_more = true;
        for _ in 0..BATCH {
            let Some((number, item)) = lines.next() else {
                has_more = false;
                self.end_session(&mut rows).map_err(import_error)?;
                break;
            };
            let item = item.map_err(|reason| ImportError::Line { number, reason })?;
            self.take(&mut rows, number, item).map_err(import_error)?;
        }
        rows.finish().map_err(command_error)?;
        txn.commit().map_err(OpenError::from)?;
        Ok(has_more)
    }

    fn take(&mut self, txn: &mut Txn<'_>, number: u64, item: Item) -> Result<(), Stop> {
        match item {
            Item::Session(session) => self.session(txn, number, session),
            Item::Message(message) => self.message(txn, number, message),
            Item::Quarantined(aside) => self.set_aside(txn, number, &aside),
            Item::Deleted(id) => self.deleted(txn, number, id),
        }
    }

    fn session(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        archived: ArchivedSession,
    ) -> Result<(), Stop> {
        let ArchivedSession {
            session,
            claim,
            upstream,
        } = archived;
        self.begin_session(txn, number, session.id, false)?;
        txn.insert_session(&session)?;
        if let Some(upstream) = upstream {
            txn.put_upstream(session.id, &upstream)?;
        }
        match (&session.create_key, claim) {
            (_, None) => {}
            (None, Some(_)) => {
                let reason = "it has a claim but no createKey".to_owned();
                return Err(Stop::Line(number, reason));
            }
            (Some(key), Some(claim)) => {
                if txn.create_claim(session.user_id, key)?.is_some() {
                    let reason = "another session has claimed its createKey".to_owned();
                    return Err(Stop::Line(number, reason));
                }
                let claim = CreateClaim {
                    session_id: session.id,
                    created_at: claim.created_at,
                    timeout: claim.timeout,
                };
                txn.put_create_claim(session.user_id, key, &claim)?;
            }
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
    ) -> Result<(), Stop> {
        self.end_session(txn)?;
        let is_known = match txn.session(id) {
            Ok(session) => session.is_some(),
            Err(CommandError::Record(_)) => true,
            Err(error) => return Err(error.into()),
        };
        if is_known {
            return Err(Stop::Line(number, format!("session {id} is there twice")));
        }
        self.current = Some(Current {
            id,
            is_lost,
            last_message: Timestamp::MIN,
            positions: HashSet::new(),
            unplaced: Vec::new(),
            replies: HashMap::new(),
            messages_aside: HashSet::new(),
        });
        Ok(())
    }

    /// Places the open turns of a session that has ended, and refuses one without the replies that
    /// its messages name.
    fn end_session(&mut self, txn: &mut Txn<'_>) -> Result<(), Stop> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        current.place_turns(txn)?;
        let is_missing = |at: &Timestamp| {
            let place = RecordLocation::Message(*at).to_string();
            !current.messages_aside.contains(&place)
        };
        let missing = current.replies.iter().filter(|(at, _)| is_missing(at));
        match missing.map(|(_, awaited)| awaited.line).min() {
            None => Ok(()),
            Some(line) => Err(Stop::Line(line, "its reply does not follow".into())),
        }
    }

    fn message(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        archived: ArchivedMessage,
    ) -> Result<(), Stop> {
        let wrong = |reason: &str| Err(Stop::Line(number, reason.to_owned()));
        let ArchivedMessage {
            message,
            keys,
            turn,
        } = archived;
        let Some(current) = self
            .current
            .as_mut()
            .filter(|current| current.id == message.session_id)
        else {
            return wrong("it does not follow its session");
        };
        let at = message.created_at;
        if at <= current.last_message {
            return wrong("it is not later than the message before it");
        }
        current.last_message = at;
        match txn.put_message(&message) {
            Err(CommandError::Record(error)) => return wrong(&error.to_string()),
            other => other?,
        }
        let is_open = message.has_open_turn();
        if turn.is_some() && !is_open {
            return wrong("it has an open turn but says that it was answered");
        }
        match &message.role {
            Role::User {
                reply_id,
                turn: TurnState::Replied(reply_at),
                ..
            } => {
                if *reply_at <= at {
                    return wrong("its reply is not later than itself");
                }
                let awaited = Awaited {
                    line: number,
                    id: *reply_id,
                    message_at: at,
                };
                current.replies.insert(*reply_at, awaited);
            }
            Role::Agent { .. } => {
                if let Some(awaited) = current.replies.remove(&at)
                    && !current.is_awaited(&awaited, &message)
                {
                    let reason = "its reply has another id".to_owned();
                    return Err(Stop::Line(awaited.line, reason));
                }
            }
            Role::User { .. } => {}
        }
        match turn {
            _ if !is_open || current.is_lost => {}
            None => current.unplaced.push(at),
            Some(turn) if current.positions.insert(turn.position) => txn.put_turn(&turn)?,
            Some(_) => return wrong("another turn of the session has its position"),
        }
        let of = if message.is_agent() {
            KeyKind::Submit
        } else {
            KeyKind::Send
        };
        for key in keys {
            if txn.message_of_key(of, current.id, &key)?.is_some() {
                return wrong("another message of the session has its key");
            }
            txn.put_key(of, current.id, &key, at)?;
        }
        self.imported.messages += 1;
        Ok(())
    }

    fn set_aside(
        &mut self,
        txn: &mut Txn<'_>,
        number: u64,
        aside: &Quarantined,
    ) -> Result<(), Stop> {
        let is_current =
            |current: &Option<Current>| current.as_ref().is_some_and(|at| at.id == aside.owner);
        if aside.owner != NOBODY && !is_current(&self.current) {
            // A session whose own record is lost may begin with any of its records.
            self.begin_session(txn, number, aside.owner, true)?;
        }
        if let Some(current) = &mut self.current
            && current.id == aside.owner
        {
            current.messages_aside.insert(aside.place.clone());
            current.is_lost |= quarantine::is_session(aside);
        }
        match txn.put_aside(aside) {
            Err(CommandError::Record(error)) => Err(Stop::Line(number, error.to_string())),
            other => {
                self.imported.set_aside += 1;
                Ok(other?)
            }
        }
    }

    fn deleted(&mut self, txn: &mut Txn<'_>, number: u64, id: SessionId) -> Result<(), Stop> {
        let Some(current) = self.current.take().filter(|current| current.id == id) else {
            let reason = "it does not follow its session".to_owned();
            return Err(Stop::Line(number, reason));
        };
        let session = if current.is_lost {
            None
        } else {
            txn.session(id)?
        };
        erase(txn, id, session.as_ref(), usize::MAX)?;
        self.imported.sessions -= u64::from(session.is_some());
        Ok(())
    }
}

fn import_error(stop: Stop) -> ImportError {
    match stop {
        Stop::Line(number, reason) => ImportError::Line { number, reason },
        Stop::Failed(error) => ImportError::Failed(command_error(error)),
    }
}
