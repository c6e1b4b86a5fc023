//! What can be asked of the store.
//!
//! Each query reads from one snapshot. The queries are async because a store may have to wait for
//! its answer; this one reads its file on the spot, so that each is ready at once. Every query fails
//! with a [`ReadError`] where the database cannot be read, and, where that is said of it, on a record
//! that cannot be decoded.

#![expect(
    clippy::unused_async,
    reason = "the callers assume nothing about where the data is"
)]
#![expect(clippy::missing_errors_doc, reason = "they are the same for all")]
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method itself is not general enough over the lifetime of its snapshot"
)]

use super::message_page::{Page, PageRequest};
use super::reader::{Reader, RowCounts, Stats};
use crate::domain::archive::Item;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId, UserId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::{Message, Role, TurnFailure, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::{History, OpenTurn, WantedHistory, Wants};
use crate::store::Store;
use crate::store::condition::{LastBackup, Verified};
use crate::store::error::ReadError;
use crate::store::file::database_file;
use crate::store::maintenance::export::Cursor;
use crate::store::schema::deadline::{Deadline, Place};

type Result<T> = std::result::Result<T, ReadError>;

/// A session, and how its conversation stands.
#[derive(Debug)]
pub struct StoredSession {
    /// The session, active or not.
    pub session: Session,
    /// Whether a turn is open.
    pub has_open_turns: bool,
    /// The time of the newest message; none where there is none.
    pub newest: Option<Timestamp>,
}

/// How what is stored is stored.
#[derive(Debug, Clone)]
pub struct StorageInfo {
    /// Where it is, in the words of whoever runs the server; none where it is in memory.
    pub location: Option<String>,
    /// How many bytes it takes.
    pub bytes: u64,
    /// How many of them hold something, as last measured; none before.
    pub used_bytes: Option<u64>,
    /// How many more bytes there are for it; none where that cannot be told.
    pub free_on_disk: Option<u64>,
    /// The last complete verification; none before the first one.
    pub verified: Option<Verified>,
    /// The last backup that a client fetched to its end; none before the first one, or where its
    /// record is damaged.
    pub last_backup: Option<LastBackup>,
}

/// How the turn of a message stands.
#[derive(Debug)]
pub enum TurnOutcome {
    /// It is open.
    Open,
    /// With this reply.
    Replied(Message),
    /// Without a reply.
    Failed(TurnFailure),
    /// The message, or its reply, is no longer stored.
    Deleted,
}

/// An open turn with everything that its agent has to know.
#[derive(Debug)]
pub struct StoredTurn {
    /// The turn.
    pub turn: OpenTurn,
    /// Its id, the same however often it is tried.
    pub turn_id: TurnId,
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// The session.
    pub session: Session,
    /// The user's message.
    pub message: Message,
    /// What was said before.
    pub history: History,
    /// The id that the server behind the agent has for the session, where that is wanted.
    pub upstream: Option<String>,
}

impl Store {
    /// Returns a session, active or not. Fails on a damaged record.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>> {
        self.read(|reader| reader.session(id))
    }

    /// Returns a session, active or not, and how its conversation stands. Fails on a damaged record.
    pub async fn session_state(&self, id: SessionId) -> Result<Option<StoredSession>> {
        self.read(|reader| {
            let Some(session) = reader.session(id)? else {
                return Ok(None);
            };
            let newest = reader.messages(id, PageRequest::newest(1))?;
            Ok(Some(StoredSession {
                session,
                has_open_turns: reader.next_turn(id)?.is_some(),
                newest: newest.messages.first().map(|message| message.created_at),
            }))
        })
    }

    /// Returns sessions of one user, or of all, active or not, in descending order of their ids, from
    /// below `below` on, and where to go on; damaged ones are left out.
    pub async fn sessions(
        &self,
        user: Option<UserId>,
        below: Option<SessionId>,
        limit: usize,
    ) -> Result<(Vec<Session>, Option<SessionId>)> {
        self.read(|reader| match user {
            Some(user) => reader.user_sessions_below(user, below, limit),
            None => reader.sessions_below(below, limit),
        })
    }

    /// Returns the sessions of these ids; damaged ones are left out.
    pub async fn sessions_by_id(&self, ids: &[SessionId]) -> Result<Vec<Session>> {
        self.read(|reader| {
            let mut sessions = Vec::with_capacity(ids.len());
            for id in ids {
                sessions.extend(reader.undamaged_session(*id)?);
            }
            Ok(sessions)
        })
    }

    /// Returns the ids of the active sessions below one, newest first; none where more than `limit`
    /// are active in all. Costs what is active, not what is retained.
    pub async fn active_session_ids(
        &self,
        below: Option<SessionId>,
        now: Timestamp,
        limit: u64,
    ) -> Result<Option<Vec<SessionId>>> {
        self.read(|reader| reader.active_below(below, now, limit))
    }

    /// Counts the sessions of each standing. Costs what fell due of late, never what is stored.
    pub async fn stats(&self, now: Timestamp) -> Result<Stats> {
        self.read(|reader| reader.stats(now, self.rules()))
    }

    /// Counts the rows of the largest tables.
    pub async fn row_counts(&self) -> Result<RowCounts> {
        self.read(|reader| reader.row_counts())
    }

    /// Returns a page of a session's messages; damaged ones are left out.
    pub async fn message_page(&self, session: SessionId, request: PageRequest) -> Result<Page> {
        self.read(|reader| reader.messages(session, request))
    }

    /// Returns what is made of a page of a session's messages, whose texts are lent and not copied.
    pub async fn with_message_page<T>(
        &self,
        session: SessionId,
        request: PageRequest,
        make: impl FnOnce(Page<&str>) -> T,
    ) -> Result<T> {
        self.read(|reader| reader.with_messages(session, request, make))
    }

    /// Returns the message of a session that was sent under a key. Fails on a damaged record.
    pub async fn message_of_key(
        &self,
        session: SessionId,
        key: &IdempotencyKey,
    ) -> Result<Option<Message>> {
        self.read(|reader| reader.message_of_key(session, key))
    }

    /// Returns whether a user's key stands for a session that it created. Fails on a damaged record.
    pub async fn knows_create_key(
        &self,
        user: UserId,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<bool> {
        self.read(|reader| reader.knows_create_key(user, key, now, self.rules().kept))
    }

    /// Returns the open turn of a session that is to run next, with as much as `wants` says that the
    /// backend of its agent has to know. Of turns that wait for a submit, it is the one whose time is
    /// over first. Fails on a damaged record.
    pub async fn pending_turn(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> Result<Option<StoredTurn>> {
        self.read(|reader| pending_turn(reader, session, wants))
    }

    /// Returns whether a turn of a session is open; damaged ones do not count.
    pub async fn has_open_turns(&self, session: SessionId) -> Result<bool> {
        self.read(|reader| Ok(reader.next_turn(session)?.is_some()))
    }

    /// Returns the sessions that have open turns.
    pub async fn sessions_with_open_turns(&self) -> Result<Vec<SessionId>> {
        self.read(|reader| reader.sessions_with_turns())
    }

    /// Returns how the turn of the message stands that was stored at a time. Fails on a damaged
    /// record.
    pub async fn turn_outcome(&self, session: SessionId, at: Timestamp) -> Result<TurnOutcome> {
        self.read(|reader| match reader.message(session, at)? {
            None => Ok(TurnOutcome::Deleted),
            Some(message) => match message.role {
                Role::User { turn, .. } => outcome(reader, session, turn),
                Role::Agent { .. } => Ok(TurnOutcome::Open),
            },
        })
    }

    /// Returns how the turns of the user's messages stand among the newest messages of a session.
    /// Fails on a damaged reply.
    pub async fn newest_turn_outcomes(
        &self,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<(MessageId, TurnOutcome)>> {
        self.read(|reader| {
            let page = reader.messages(session, PageRequest::newest(limit))?;
            let turns = page.messages.into_iter().filter_map(|it| match it.role {
                Role::User { turn, .. } => Some((it.id, turn)),
                Role::Agent { .. } => None,
            });
            turns
                .map(|(id, turn)| Ok((id, outcome(reader, session, turn)?)))
                .collect()
        })
    }

    /// Returns the id that the server behind a session's agent has for it. A damaged one is none, and
    /// is created anew.
    pub async fn remote_session(&self, session: SessionId) -> Result<Option<String>> {
        self.read(|reader| reader.upstream(session))
    }

    /// Returns the first expiries after a place, up to a time and including it, in their order.
    pub async fn due_expiries(
        &self,
        after: Option<Place>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>> {
        self.read(|reader| reader.due(Deadline::Expiry, after, until, limit))
    }

    /// Returns the same of the warnings, with the sessions, damaged ones excepted.
    pub async fn due_warnings(
        &self,
        after: Option<Place>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Place, Option<Session>)>> {
        self.read(|reader| {
            let places = reader.due(Deadline::Warning, after, until, limit)?;
            let places = places.into_iter();
            places
                .map(|place| Ok((place, reader.undamaged_session(place.1)?)))
                .collect()
        })
    }

    /// Returns when the next session expires or comes near its expiry, after these times.
    pub async fn next_deadline(
        &self,
        warned: Timestamp,
        expired: Timestamp,
    ) -> Result<Option<Timestamp>> {
        self.read(|reader| {
            let warning = reader.next_due(Deadline::Warning, warned)?;
            let expiry = reader.next_due(Deadline::Expiry, expired)?;
            Ok(warning.into_iter().chain(expiry).min())
        })
    }

    /// Returns the next items of an export, none at its end. What cannot be read is noted at the
    /// cursor.
    pub async fn export(
        &self,
        cursor: &mut Cursor,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Item>> {
        self.read(|reader| reader.export(cursor, limit, now))
    }

    /// Returns how what is stored is stored.
    pub async fn storage(&self) -> Result<StorageInfo> {
        Ok(StorageInfo {
            location: self.shared.file.as_ref().map(|file| {
                // Where the working directory is gone, the name must do.
                let path = file.path();
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
                path.display().to_string()
            }),
            bytes: self.file_bytes(),
            used_bytes: self.shared.space.used(),
            free_on_disk: self.shared.file().and_then(database_file::free_bytes),
            verified: self.shared.condition.verified(),
            last_backup: self.read(|reader| reader.last_backup())?,
        })
    }
}

fn outcome(reader: &Reader<'_>, session: SessionId, turn: TurnState) -> Result<TurnOutcome> {
    Ok(match turn {
        TurnState::Open => TurnOutcome::Open,
        TurnState::Failed(failure) => TurnOutcome::Failed(failure),
        TurnState::Replied(at) => reader
            .message(session, at)?
            .map_or(TurnOutcome::Deleted, TurnOutcome::Replied),
    })
}

fn pending_turn(
    reader: &Reader<'_>,
    id: SessionId,
    wants: &dyn Fn(AgentId) -> Wants,
) -> Result<Option<StoredTurn>> {
    let Some(turn) = turn_to_run(reader, id)? else {
        return Ok(None);
    };
    let at = turn.message_at;
    let (Some(session), Some(message)) = (reader.session(id)?, reader.message(id, at)?) else {
        return Ok(None);
    };
    let Role::User {
        turn_id, reply_id, ..
    } = message.role
    else {
        return Ok(None);
    };
    let wants = wants(session.agent_id);
    let upstream = if wants.upstream {
        reader.upstream(id)?
    } else {
        None
    };
    let history = match wants.history {
        WantedHistory::Statements(count) => {
            History::Statements(reader.statements_before(id, at, count)?)
        }
        WantedHistory::Messages(count) => History::Messages(reader.messages_before(id, at, count)?),
    };
    Ok(Some(StoredTurn {
        turn,
        turn_id,
        reply_id,
        session,
        message,
        history,
        upstream,
    }))
}

/// The first open turn; of those that wait for a submit, the one whose time is over first.
fn turn_to_run(reader: &Reader<'_>, session: SessionId) -> Result<Option<OpenTurn>> {
    let Some(first) = reader.next_turn(session)? else {
        return Ok(None);
    };
    if first.waits_until.is_none() {
        return Ok(Some(first));
    }
    let turns = reader.open_turns(session)?.into_iter();
    let waiting = turns.filter(|turn| turn.waits_until.is_some());
    Ok(waiting.min_by_key(|turn| (turn.waits_until, turn.position)))
}
