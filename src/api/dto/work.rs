//! The work of an agent: turns that wait for a submitted reply.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::queries::work_cursor;
use crate::agents::turn_call::TurnCall;
use crate::app::{ClosedTurn, StoredTurn, WaitingTurns};

/// A page of the turns that wait for a submitted reply, the oldest message first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct AgentTurns<'a> {
    turns: Vec<TurnCall<'a>>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A turn that no longer waits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct TurnCancelled {
    turn_id: Uuid,
    session_id: Uuid,
    message_id: Uuid,
    /// `answered`, `cancelled`, `expired`, `deleted` or `timeout`.
    reason: &'static str,
}

/// Returns a waiting turn as its agent receives it.
pub(in crate::api) fn turn_call<'a>(stored: &'a StoredTurn, agent_name: &'a str) -> TurnCall<'a> {
    TurnCall::new(
        stored.turn_id,
        agent_name,
        &stored.session,
        &stored.message,
        &stored.history,
        // A turn that waits has a deadline.
        stored.turn.waits_until.unwrap_or(stored.message.created_at),
    )
}

impl<'a> AgentTurns<'a> {
    pub(in crate::api) fn new(page: &'a WaitingTurns, agent_name: &'a str) -> Self {
        let turns = page.turns.iter();
        Self {
            turns: turns.map(|turn| turn_call(turn, agent_name)).collect(),
            next_cursor: page.next.map(work_cursor),
        }
    }
}

impl From<ClosedTurn> for TurnCancelled {
    fn from(closed: ClosedTurn) -> Self {
        Self {
            turn_id: closed.turn_id.0,
            session_id: closed.session_id.0,
            message_id: closed.message_id.0,
            reason: closed.reason.as_str(),
        }
    }
}
