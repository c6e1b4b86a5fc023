//! The turn runner's view of the store.

use std::sync::Arc;
use std::time::Duration;

use crate::agents::backend::{Attempt, BodyProgress, TurnRequest};
use crate::agents::turns::{PendingTurn, TurnStore, TurnStoreError};
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{BeginOutcome, CloseOutcome, ContextNeeds, OpenTurn, ParkOutcome, Reply};
use crate::store::command::{AdvanceCounters, BeginTurn, CloseTurn, ParkTurn, StoreRemoteSession};
use crate::store::error::{ReadError, SubmitError};
use crate::store::{Store, StoredTurn};

/// The turns in the store.
#[derive(Debug)]
pub(super) struct StoredTurns(pub(super) Arc<Store>);

impl TurnStore for StoredTurns {
    async fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> ContextNeeds + Sync),
    ) -> Result<Option<PendingTurn>, TurnStoreError> {
        match self.0.pending_turn(session, wants).await {
            Ok(turn) => Ok(turn.map(PendingTurn::from)),
            Err(ReadError::Record(_)) => Err(TurnStoreError::Damaged),
            Err(ReadError::Storage(_) | ReadError::Closed) => Err(TurnStoreError::Later),
        }
    }

    async fn wait_for_quarantine(&self) -> Result<(), TurnStoreError> {
        // The writer quarantines the records that readers reported before it runs any command.
        Ok(self.0.submit(AdvanceCounters).await?)
    }

    async fn begin(&self, turn: &OpenTurn) -> Result<BeginOutcome, TurnStoreError> {
        Ok(self.0.submit(BeginTurn(turn.clone())).await?)
    }

    async fn park(&self, turn: &OpenTurn, until: Timestamp) -> Result<ParkOutcome, TurnStoreError> {
        let command = ParkTurn {
            session_id: turn.session_id,
            message_at: turn.message_at,
            until,
        };
        Ok(self.0.submit(command).await?)
    }

    async fn store_remote_session(
        &self,
        session_id: SessionId,
        name: String,
    ) -> Result<(), TurnStoreError> {
        let command = StoreRemoteSession { session_id, name };
        Ok(self.0.submit(command).await?)
    }

    async fn close(
        &self,
        turn: &OpenTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> Result<CloseOutcome, TurnStoreError> {
        let command = CloseTurn {
            session_id: turn.session_id,
            message_at: turn.message_at,
            result,
            partial,
        };
        Ok(self.0.submit(command).await?)
    }
}

impl From<SubmitError> for TurnStoreError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Closed => Self::Closed,
            SubmitError::Record(_) | SubmitError::Refused(_) => Self::Damaged,
            // Beginning and closing a turn are idempotent, so an unknown outcome is retried.
            SubmitError::Overloaded
            | SubmitError::Storage
            | SubmitError::NoRoom
            | SubmitError::OutcomeUnknown => Self::Later,
        }
    }
}

impl From<StoredTurn> for PendingTurn {
    fn from(stored: StoredTurn) -> Self {
        let attempt = Attempt::first(stored.message.created_at, Duration::ZERO);
        Self {
            turn: stored.turn,
            reply_id: stored.reply_id,
            request: Arc::new(TurnRequest {
                trace: None,
                turn_id: stored.turn_id,
                session: stored.session,
                history: stored.history,
                message: stored.message,
                remote_session: stored.remote_session,
                progress: BodyProgress::default(),
                attempt,
            }),
        }
    }
}
