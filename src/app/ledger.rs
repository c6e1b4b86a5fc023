//! The turn runner's view of the store.

use std::sync::Arc;

use crate::agents::backend::{History, Progress, TurnRequest, WantedHistory, Wants};
use crate::agents::runner::{Ledger, LedgerError, PendingTurn};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::{Role, TurnFailure};
use crate::domain::time::Timestamp;
use crate::domain::turn::{Begun, Closed, OpenTurn, Parked, Reply};
use crate::store::Store;
use crate::store::command::{BeginTurn, CloseTurn, KeepUpstream, ParkTurn, WalkTallies};
use crate::store::error::{ReadError, SubmitError};
use crate::store::reader::Reader;

/// What is stored of the turns.
#[derive(Debug)]
pub(super) struct StoreLedger {
    store: Arc<Store>,
}

impl StoreLedger {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Ledger for StoreLedger {
    fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> Result<Option<PendingTurn>, LedgerError> {
        self.store
            .read(|reader| pending_turn(reader, session, wants))
            .map_err(|error| match error {
                ReadError::Record(_) => LedgerError::Damaged,
                ReadError::Storage(_) | ReadError::Closed => LedgerError::Later,
            })
    }

    async fn settle(&self) -> Result<(), LedgerError> {
        // The writer sets aside what was met before it carries out what comes after, whatever
        // that is.
        let settled = self.store.submit(WalkTallies).await;
        settled.map_err(|error| ledger_error(&error))
    }

    async fn begin(&self, turn: &OpenTurn) -> Result<Begun, LedgerError> {
        self.store
            .submit(BeginTurn(turn.clone()))
            .await
            .map_err(|error| ledger_error(&error))
    }

    async fn park(&self, turn: &OpenTurn, until: Timestamp) -> Result<Parked, LedgerError> {
        let command = ParkTurn {
            session_id: turn.session_id,
            message_at: turn.message_at,
            until,
        };
        self.store
            .submit(command)
            .await
            .map_err(|error| ledger_error(&error))
    }

    async fn keep_upstream(&self, session: SessionId, name: String) -> Result<(), LedgerError> {
        let command = KeepUpstream {
            session_id: session,
            name,
        };
        self.store
            .submit(command)
            .await
            .map_err(|error| ledger_error(&error))
    }

    async fn close(
        &self,
        turn: &OpenTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> Result<Closed, LedgerError> {
        let command = CloseTurn {
            session_id: turn.session_id,
            message_at: turn.message_at,
            result,
            partial,
        };
        self.store
            .submit(command)
            .await
            .map_err(|error| ledger_error(&error))
    }
}

fn pending_turn(
    reader: &Reader<'_>,
    session_id: SessionId,
    wants: &(dyn Fn(AgentId) -> Wants + Sync),
) -> Result<Option<PendingTurn>, ReadError> {
    let Some(turn) = next_turn(reader, session_id)? else {
        return Ok(None);
    };
    let session = reader.session(session_id)?;
    let message = reader.message(session_id, turn.message_at)?;
    let (Some(session), Some(message)) = (session, message) else {
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
        reader.upstream(session_id)?
    } else {
        None
    };
    let at = turn.message_at;
    let history = match wants.history {
        WantedHistory::Statements(count) => {
            History::Statements(reader.statements_before(session_id, at, count)?)
        }
        WantedHistory::Messages(count) => {
            History::Messages(reader.messages_before(session_id, at, count)?)
        }
    };
    let request = Arc::new(TurnRequest {
        turn_id,
        session,
        history,
        message,
        upstream,
        progress: Progress::default(),
    });
    Ok(Some(PendingTurn {
        turn,
        reply_id,
        request,
    }))
}

/// The first open turn; of those that wait for a submit, the one whose time is over first.
fn next_turn(reader: &Reader<'_>, session_id: SessionId) -> Result<Option<OpenTurn>, ReadError> {
    let Some(first) = reader.next_turn(session_id)? else {
        return Ok(None);
    };
    if first.waits_until.is_none() {
        return Ok(Some(first));
    }
    let turns = reader.open_turns(session_id)?.into_iter();
    let waiting = turns.filter(|turn| turn.waits_until.is_some());
    Ok(waiting.min_by_key(|turn| (turn.waits_until, turn.position)))
}

fn ledger_error(error: &SubmitError) -> LedgerError {
    match error {
        SubmitError::Closed => LedgerError::Closed,
        SubmitError::Record(_) | SubmitError::Refused(_) => LedgerError::Damaged,
        // A turn can be begun and closed twice, so an unknown outcome is tried again.
        SubmitError::Overloaded
        | SubmitError::Storage
        | SubmitError::NoRoom
        | SubmitError::OutcomeUnknown => LedgerError::Later,
    }
}
