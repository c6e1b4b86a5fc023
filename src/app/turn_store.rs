//! The turn runner's view of the store.

use std::sync::Arc;

use crate::agents::backend::{Progress, TurnRequest};
use crate::agents::turns::{PendingTurn, TurnStore, TurnStoreError};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{Begun, Closed, OpenTurn, Parked, Reply, Wants};
use crate::store::command::{AdvanceCounters, BeginTurn, CloseTurn, ParkTurn, StoreRemoteSession};
use crate::store::error::{ReadError, SubmitError};
use crate::store::{Store, StoredTurn};

/// What is stored of the turns.
#[derive(Debug)]
pub(super) struct StoredTurns {
    store: Arc<Store>,
}

impl StoredTurns {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl TurnStore for StoredTurns {
    async fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> Result<Option<PendingTurn>, TurnStoreError> {
        match self.store.pending_turn(session, wants).await {
            Ok(turn) => Ok(turn.map(PendingTurn::from)),
            Err(ReadError::Record(_)) => Err(TurnStoreError::Damaged),
            Err(ReadError::Storage(_) | ReadError::Closed) => Err(TurnStoreError::Later),
        }
    }

    async fn settle(&self) -> Result<(), TurnStoreError> {
        // The writer sets aside what was met before it carries out what comes after, whatever
        // that is.
        let settled = self.store.submit(AdvanceCounters).await;
        settled.map_err(|error| ledger_error(&error))
    }

    async fn begin(&self, turn: &OpenTurn) -> Result<Begun, TurnStoreError> {
        self.store
            .submit(BeginTurn(turn.clone()))
            .await
            .map_err(|error| ledger_error(&error))
    }

    async fn park(&self, turn: &OpenTurn, until: Timestamp) -> Result<Parked, TurnStoreError> {
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

    async fn keep_upstream(&self, session: SessionId, name: String) -> Result<(), TurnStoreError> {
        let command = StoreRemoteSession {
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
    ) -> Result<Closed, TurnStoreError> {
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

fn ledger_error(error: &SubmitError) -> TurnStoreError {
    match error {
        SubmitError::Closed => TurnStoreError::Closed,
        SubmitError::Record(_) | SubmitError::Refused(_) => TurnStoreError::Damaged,
        // A turn can be begun and closed twice, so an unknown outcome is tried again.
        SubmitError::Overloaded
        | SubmitError::Storage
        | SubmitError::NoRoom
        | SubmitError::OutcomeUnknown => TurnStoreError::Later,
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
