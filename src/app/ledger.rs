//! The turn runner's view of the store.

use std::sync::Arc;

use crate::agents::backend::TurnRequest;
use crate::agents::runner::{Ledger, LedgerError, PendingTurn};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::{Role, TurnFailure};
use crate::domain::turn::{Begun, Closed, OpenTurn, Reply};
use crate::store::Store;
use crate::store::command::{BeginTurn, CloseTurn};
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
        history_limit: &(dyn Fn(AgentId) -> usize + Sync),
    ) -> Result<Option<PendingTurn>, LedgerError> {
        self.store
            .read(|reader| pending_turn(reader, session, history_limit))
            .map_err(|error| match error {
                ReadError::Record(_) => LedgerError::Damaged,
                ReadError::Storage(_) | ReadError::Closed => LedgerError::Later,
            })
    }

    async fn begin(&self, turn: &OpenTurn) -> Result<Begun, LedgerError> {
        self.store
            .submit(BeginTurn(turn.clone()))
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
    history_limit: &(dyn Fn(AgentId) -> usize + Sync),
) -> Result<Option<PendingTurn>, ReadError> {
    let Some(turn) = reader.next_turn(session_id)? else {
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
    let limit = history_limit(session.agent_id);
    let request = TurnRequest {
        turn_id,
        session_id,
        agent_id: session.agent_id,
        user_id: session.user_id,
        history: reader.exchanges_before(session_id, turn.message_at, limit)?,
        message,
    };
    Ok(Some(PendingTurn {
        turn,
        reply_id,
        request,
    }))
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
