//! Queries for turns that wait for a submitted reply.

use std::ops::Bound;

use super::reader::Reader;
use super::turns::{StoredTurn, stored_turn};
use crate::domain::id::AgentId;
use crate::domain::message::{Body, Message};
use crate::domain::turn::{ContextNeeds, History};
use crate::domain::waiting::WaitingPosition;
use crate::store::error::{ReadError, ReadResult};
use crate::store::handle::Store;
use crate::store::schema::tables::{WAITING_TURNS, waiting_position};

/// A request for waiting turns of an agent.
#[derive(Debug, Clone, Copy)]
pub struct WaitingRequest {
    /// The agent.
    pub agent_id: AgentId,
    /// Only turns after this position.
    pub after: Option<WaitingPosition>,
    /// The largest number of turns.
    pub limit: usize,
    /// The page ends with the turn whose texts bring it to this many bytes.
    pub max_bytes: usize,
    /// What the agent needs with each turn.
    pub wants: ContextNeeds,
}

/// Some waiting turns of an agent, the oldest message first.
#[derive(Debug)]
pub struct WaitingTurns {
    /// The turns. Each waits until a deadline.
    pub turns: Vec<StoredTurn>,
    /// The position of the last turn, if more follow.
    pub next: Option<WaitingPosition>,
}

impl Store {
    /// Returns the first waiting turns of an agent after a position, the oldest message first;
    /// damaged ones are left out.
    pub async fn waiting_turns(&self, request: WaitingRequest) -> ReadResult<WaitingTurns> {
        self.read(|reader| waiting_turns(reader, request))
    }

    /// Returns a waiting turn; `None` if it no longer waits, or is damaged.
    pub async fn waiting_turn(
        &self,
        position: WaitingPosition,
        wants: ContextNeeds,
    ) -> ReadResult<Option<StoredTurn>> {
        self.read(|reader| waiting_turn(reader, position, wants))
    }
}

fn waiting_turns(reader: &Reader<'_>, request: WaitingRequest) -> ReadResult<WaitingTurns> {
    let agent = u128::from(request.agent_id);
    let start = match request.after {
        None => Bound::Included((agent, i64::MIN, 0)),
        Some(after) => Bound::Excluded((agent, after.message_at.0, after.session_id.into())),
    };
    let end = Bound::Included((agent, i64::MAX, u128::MAX));
    let index = reader.snapshot.txn.open_table(WAITING_TURNS)?;
    let mut found = WaitingTurns {
        turns: Vec::new(),
        next: None,
    };
    let (mut bytes, mut last) = (0, None);
    for row in index.range((start, end))? {
        let position = waiting_position(row?.0.value());
        if found.turns.len() >= request.limit || bytes >= request.max_bytes {
            found.next = last;
            break;
        }
        last = Some(position);
        if let Some(turn) = waiting_turn(reader, position, request.wants)? {
            bytes += size(&turn);
            found.turns.push(turn);
        }
    }
    Ok(found)
}

fn waiting_turn(
    reader: &Reader<'_>,
    position: WaitingPosition,
    wants: ContextNeeds,
) -> ReadResult<Option<StoredTurn>> {
    let turns = reader.open_turns(position.session_id)?;
    let turns = turns.collect::<ReadResult<Vec<_>>>()?.into_iter();
    let mut waiting = turns.filter(|turn| turn.waits_until.is_some());
    let Some(turn) = waiting.find(|turn| turn.message_at == position.message_at) else {
        return Ok(None);
    };
    match stored_turn(reader, turn, &|_| wants) {
        Err(ReadError::Record(_)) => Ok(None),
        read => read,
    }
}

/// Returns the approximate length of the texts of a turn.
fn size(turn: &StoredTurn) -> usize {
    let of_body = |body: &Body| {
        let parts = [&body.metadata, &body.attachments];
        body.content.len() + parts.into_iter().flatten().map(String::len).sum::<usize>()
    };
    let history: usize = match &turn.history {
        History::Statements(statements) => statements.iter().map(String::len).sum(),
        History::Messages(messages) => messages.iter().map(|it: &Message| of_body(&it.body)).sum(),
    };
    of_body(&turn.message.body) + turn.session.metadata.len() + history
}
