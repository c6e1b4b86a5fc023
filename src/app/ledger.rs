//! The turn runner's view of the store.

use std::sync::Arc;

use crate::agents::backend::{Progress, TurnRequest};
use crate::agents::turns::{Ledger, LedgerError, PendingTurn};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{Begun, Closed, OpenTurn, Parked, Reply, Wants};
use crate::store::command::{BeginTurn, CloseTurn, KeepUpstream, ParkTurn, WalkTallies};
use crate::store::error::{ReadError, SubmitError};
use crate::store::{Store, StoredTurn};

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
    async fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> Result<Option<PendingTurn>, LedgerError> {
        match self.store.pending_turn(session, wants).await {
            Ok(turn) => Ok(turn.map(PendingTurn::from)),
            Err(ReadError::Record(_)) => Err(LedgerError::Damaged),
            Err(ReadError::Storage(_) | ReadError::Closed) => Err(LedgerError::Later),
        }
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

impl From<StoredTurn> for PendingTurn {
    fn from(stored: StoredTurn) -> Self {
        Self {
            turn: stored.turn,
            reply_id: stored.reply_id,
            request: Arc::new(TurnRequest {
                turn_id: stored.turn_id,
                session: stored.session,
                history: stored.history,
                message: stored.message,
                upstream: stored.upstream,
                progress: Progress::default(),
            }),
        }
    }
}
