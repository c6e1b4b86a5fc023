//! The runner's view of the stored turns.

use std::future::Future;
use std::sync::Arc;

use crate::agents::backend::TurnRequest;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{BeginOutcome, CloseOutcome, ContextNeeds, OpenTurn, ParkOutcome, Reply};

/// Stores the turns. All methods fail if the store does.
pub trait TurnStore: Send + Sync + 'static {
    /// Returns the session's next turn, with what the backend of its agent wants. If the first turn
    /// waits for a submission, the next one is the one that waits for the shortest time.
    fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> ContextNeeds + Sync),
    ) -> impl Future<Output = Result<Option<PendingTurn>, TurnStoreError>> + Send;

    /// Waits until the damaged records that were found are quarantined.
    fn wait_for_quarantine(&self) -> impl Future<Output = Result<(), TurnStoreError>> + Send;

    /// Marks a turn as running, before the agent is asked.
    fn begin(
        &self,
        turn: &OpenTurn,
    ) -> impl Future<Output = Result<BeginOutcome, TurnStoreError>> + Send;

    /// Marks a turn as waiting for a submission.
    fn park(
        &self,
        turn: &OpenTurn,
        until: Timestamp,
    ) -> impl Future<Output = Result<ParkOutcome, TurnStoreError>> + Send;

    /// Closes a turn. `partial` is the text that was sent in chunks.
    fn close(
        &self,
        turn: &OpenTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> impl Future<Output = Result<CloseOutcome, TurnStoreError>> + Send;

    /// Stores the id of a session's remote session.
    fn store_remote_session(
        &self,
        session: SessionId,
        name: String,
    ) -> impl Future<Output = Result<(), TurnStoreError>> + Send;
}

/// Why the turn store failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnStoreError {
    /// A retry may succeed.
    Later,
    /// A record of the session is damaged.
    Damaged,
    /// The server is stopping.
    Closed,
}

/// A turn to run.
#[derive(Debug)]
pub struct PendingTurn {
    /// The stored turn.
    pub turn: OpenTurn,
    /// The id of the future reply.
    pub reply_id: MessageId,
    /// The request to the backend.
    pub request: Arc<TurnRequest>,
}
