//! Queries for turns.

use redb::ReadableTable as _;

use super::message_page::PageRequest;
use super::reader::Reader;
use crate::domain::id::{AgentId, MessageId, SessionId, TurnId};
use crate::domain::message::{Message, Role, TurnFailure, TurnState};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::turn::{ContextNeeds, History, HistoryNeeds, OpenTurn};
use crate::store::error::ReadResult;
use crate::store::handle::Store;

/// The outcome of a message's turn.
#[derive(Debug)]
pub enum TurnOutcome {
    /// The turn is open.
    Open,
    /// The turn ended with this reply.
    Replied(Message),
    /// The turn failed.
    Failed(TurnFailure),
    /// The message, or its reply, is no longer stored.
    Deleted,
}

/// An open turn with everything that its agent needs.
#[derive(Debug)]
pub struct StoredTurn {
    /// The turn.
    pub turn: OpenTurn,
    /// Its id, the same for every attempt.
    pub turn_id: TurnId,
    /// The id of its future reply.
    pub reply_id: MessageId,
    /// The session.
    pub session: Session,
    /// The user's message.
    pub message: Message,
    /// The messages before it.
    pub history: History,
    /// The id of the remote session, if it was requested.
    pub remote_session: Option<String>,
}

impl Store {
    /// Returns the next turn of a session to run, with as much as `wants` requests for the backend
    /// of its agent. Of turns that wait for a submitted reply, it is the one whose wait ends first.
    /// Fails on a damaged record.
    pub async fn pending_turn(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> ContextNeeds + Sync),
    ) -> ReadResult<Option<StoredTurn>> {
        self.read(|reader| pending_turn(reader, session, wants))
    }

    /// Whether a turn of a session is open, except damaged ones.
    pub async fn has_open_turns(&self, session: SessionId) -> ReadResult<bool> {
        self.read(|reader| Ok(reader.next_turn(session)?.is_some()))
    }

    /// Returns the sessions that have open turns.
    pub async fn sessions_with_open_turns(&self) -> ReadResult<Vec<SessionId>> {
        self.read(sessions_with_open_turns)
    }

    /// Returns the outcome of the turn whose message was stored at a time. Fails on a damaged
    /// record.
    pub async fn turn_outcome(&self, session: SessionId, at: Timestamp) -> ReadResult<TurnOutcome> {
        self.read(|reader| match reader.message(session, at)? {
            None => Ok(TurnOutcome::Deleted),
            Some(message) => match message.role {
                Role::User { turn, .. } => outcome(reader, session, turn),
                Role::Agent { .. } => Ok(TurnOutcome::Open),
            },
        })
    }

    /// Returns the outcomes of the turns among the newest messages of a session. Fails on a damaged
    /// reply.
    pub async fn newest_turn_outcomes(
        &self,
        session: SessionId,
        limit: usize,
    ) -> ReadResult<Vec<(MessageId, TurnOutcome)>> {
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

    /// Returns the id of a session's remote session. A damaged one counts as none, and is created
    /// anew.
    pub async fn remote_session(&self, session: SessionId) -> ReadResult<Option<String>> {
        self.read(|reader| reader.remote_session(session))
    }
}

/// Returns the sessions that have open turns.
pub(crate) fn sessions_with_open_turns(reader: &Reader<'_>) -> ReadResult<Vec<SessionId>> {
    let mut sessions: Vec<SessionId> = Vec::new();
    for row in reader.snapshot.open_turns()?.iter()? {
        let session = SessionId::from(row?.0.value().0);
        if sessions.last() != Some(&session) {
            sessions.push(session);
        }
    }
    Ok(sessions)
}

fn outcome(reader: &Reader<'_>, session: SessionId, turn: TurnState) -> ReadResult<TurnOutcome> {
    Ok(match turn {
        TurnState::Open => TurnOutcome::Open,
        TurnState::Copied => TurnOutcome::Deleted,
        TurnState::Failed(failure) => TurnOutcome::Failed(failure),
        TurnState::Replied(at) => reader
            .message(session, at)?
            .map_or(TurnOutcome::Deleted, TurnOutcome::Replied),
    })
}

impl Reader<'_> {
    /// Returns the id of the future reply to a message, if its turn is open.
    pub(super) fn open_reply(
        &self,
        session: SessionId,
        message: MessageId,
    ) -> ReadResult<Option<MessageId>> {
        for turn in self.open_turns(session)? {
            let at = turn?.message_at;
            if let Some(stored) = self.undamaged_message(session, at)?
                && stored.id == message
                && let Role::User { reply_id, .. } = stored.role
            {
                return Ok(Some(reply_id));
            }
        }
        Ok(None)
    }
}

fn pending_turn(
    reader: &Reader<'_>,
    id: SessionId,
    wants: &dyn Fn(AgentId) -> ContextNeeds,
) -> ReadResult<Option<StoredTurn>> {
    match turn_to_run(reader, id)? {
        None => Ok(None),
        Some(turn) => stored_turn(reader, turn, wants),
    }
}

/// Returns an open turn with everything that its agent needs. Fails on a damaged record.
pub(super) fn stored_turn(
    reader: &Reader<'_>,
    turn: OpenTurn,
    wants: &dyn Fn(AgentId) -> ContextNeeds,
) -> ReadResult<Option<StoredTurn>> {
    let (id, at) = (turn.session_id, turn.message_at);
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
    let remote_session = if wants.remote_session {
        reader.remote_session(id)?
    } else {
        None
    };
    let history = match wants.history {
        HistoryNeeds::Statements(count) => {
            History::Statements(reader.statements_before(id, at, count)?)
        }
        HistoryNeeds::Messages(count) => History::Messages(reader.messages_before(id, at, count)?),
    };
    Ok(Some(StoredTurn {
        turn,
        turn_id,
        reply_id,
        session,
        message,
        history,
        remote_session,
    }))
}

/// Returns the first open turn; of those that wait for a submitted reply, the one whose wait ends
/// first.
fn turn_to_run(reader: &Reader<'_>, session: SessionId) -> ReadResult<Option<OpenTurn>> {
    let first = reader.next_turn(session)?;
    if first.as_ref().is_none_or(|turn| turn.waits_until.is_none()) {
        return Ok(first);
    }
    let turns = reader
        .open_turns(session)?
        .collect::<ReadResult<Vec<_>>>()?;
    let waiting = turns.into_iter().filter(|turn| turn.waits_until.is_some());
    Ok(waiting.min_by_key(|turn| (turn.waits_until, turn.position)))
}
