//! The session worker's task: runs the turns of a session one after the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempts::{Attempts, Outcome};
use super::failed_turn::FailedTurn;
use super::reply_feed::Ending;
use super::runner::Inner;
use super::session_worker::{RunningTurn, Slot};
use super::turn_store::{PendingTurn, TurnStore, TurnStoreError};
use crate::agents::backend::ReplySource;
use crate::agents::registry::Agent;
use crate::domain::failure::FailureReason;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::turn::{BeginOutcome, CloseOutcome, ContextNeeds, Reply};

/// The pause before a failed call of the turn store is repeated.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The result of asking an agent. The slot is released once the result is stored.
struct Asked {
    result: Result<Outcome, FailedTurn>,
    partial: Option<String>,
    _slot: Option<Slot>,
}

impl<S: TurnStore> Inner<S> {
    pub(super) async fn run_worker(&self, session: SessionId, cancel: CancellationToken) {
        // Here and below, futures are pinned where they are created: passing them on by value would
        // store and copy them once per call.
        let work = pin!(self.run_turns(session));
        // Dropping the work anywhere is as harmless as a crash.
        let _ = cancel.run_until_cancelled(work).await;
        if cancel.is_cancelled() {
            self.workers.remove(session);
            // A chunk may have opened a feed again after the feeds were ended; at a stop, the
            // worker may even end before the feeds do.
            let ending = if self.stopping.is_cancelled() {
                Ending::Stopping
            } else {
                Ending::Deleted
            };
            self.parts.feeds.end_session(session, &ending);
        }
    }

    async fn run_turns(&self, session: SessionId) {
        let mut was_damaged = false;
        loop {
            let submissions = self.workers.submissions(session);
            let wants = |agent| self.context_needs(agent);
            let result = match self.parts.turn_store.next(session, &wants).await {
                Ok(Some(turn)) => self.run_turn(&turn, submissions).await,
                Ok(None) if self.workers.leave(session) => return,
                Ok(None) => Ok(()),
                Err(TurnStoreError::Damaged) if !was_damaged => {
                    was_damaged = true;
                    if self.wait_for_quarantine(session).await.is_ok() {
                        continue;
                    }
                    Err(TurnStoreError::Later)
                }
                Err(error) => Err(error),
            };
            was_damaged = result == Err(TurnStoreError::Damaged);
            match result {
                Ok(()) => {}
                Err(TurnStoreError::Later) => self.parts.clock.sleep(STORE_PAUSE).await,
                Err(TurnStoreError::Damaged) => {
                    tracing::error!(%session, "the session's turns cannot be read and stay open");
                    self.workers.remove(session);
                    return;
                }
                Err(TurnStoreError::Closed) => return,
            }
        }
    }

    /// Waits until a damaged turn is quarantined, so that the turns behind it can run. Waiters
    /// receive an error.
    async fn wait_for_quarantine(&self, session: SessionId) -> Result<(), TurnStoreError> {
        tracing::error!(%session, "a turn of the session cannot be read");
        let failed = Ending::Failed(TurnFailure::agent_error(FailureReason::Internal));
        self.parts.feeds.end_session(session, &failed);
        self.parts.turn_store.wait_for_quarantine().await
    }

    fn context_needs(&self, agent: AgentId) -> ContextNeeds {
        let agent = self.parts.agents.get(agent);
        agent.map_or_else(ContextNeeds::default, |agent| agent.backend.context_needs())
    }

    async fn run_turn(
        &self,
        pending: &PendingTurn,
        submissions: u64,
    ) -> Result<(), TurnStoreError> {
        let PendingTurn { turn, request, .. } = pending;
        let (session, agent_id) = (turn.session_id, request.session.agent_id);
        let Some(agent) = self.parts.agents.get(agent_id) else {
            let failed = FailedTurn::without_agent();
            return self.close(pending, Err(failed), None).await;
        };
        if let Some(until) = turn.waits_until
            && agent.backend.reply_source() != ReplySource::Backend
        {
            return self.wait_for_submit(&agent, pending, until).await;
        }
        let (message, reply) = (request.message.id, pending.reply_id);
        let running = self
            .workers
            .begin(session, message, reply, agent_id, submissions);
        let Some(running) = running else {
            // The turn store may have changed since it was read.
            return Ok(());
        };
        let asked = {
            let asking = pin!(self.begin_and_ask(&agent, pending, &running));
            running.over.run_until_cancelled(asking).await
        };
        let stored = match asked {
            Some(Ok(Some(asked))) => self.store_result(pending, asked).await,
            Some(Err(error)) => Err(error),
            // The turn store knows: the turn was closed before it began, its reply was submitted,
            // or its agent was removed.
            Some(Ok(None)) | None => Ok(()),
        };
        self.workers.end(session);
        stored
    }

    async fn store_result(
        &self,
        pending: &PendingTurn,
        asked: Asked,
    ) -> Result<(), TurnStoreError> {
        let result = match asked.result {
            Ok(Outcome::Later(until)) => {
                let park = || self.parts.turn_store.park(&pending.turn, until);
                // A turn that is gone has been closed by a submission.
                return self.until_stored(park).await.map(drop);
            }
            Ok(Outcome::Reply(reply)) => Ok(reply),
            Err(failed) => Err(failed),
        };
        self.close(pending, result, asked.partial).await
    }

    /// Waits until something is submitted, or the turn's time is over.
    async fn wait_for_submit(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        until: Timestamp,
    ) -> Result<(), TurnStoreError> {
        let session = pending.turn.session_id;
        let wake = self.workers.wake_signal(session);
        tokio::select! {
            biased;
            () = wake.notified() => Ok(()),
            () = self.parts.clock.sleep_until(until) => {
                let failed = FailedTurn::timeout("no reply was submitted in time".into());
                failed.log(agent, session);
                self.close(pending, Err(failed), None).await
            }
        }
    }

    /// Marks a turn as running and asks its agent; `None` if the turn was closed already.
    async fn begin_and_ask(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        running: &RunningTurn,
    ) -> Result<Option<Asked>, TurnStoreError> {
        let turn = &pending.turn;
        let slot = match self.workers.take_slot(turn.session_id) {
            Some(slot) => slot,
            None => match Arc::clone(&agent.slots).acquire_owned().await {
                Ok(slot) => slot,
                // The semaphore is never closed.
                Err(_) => return Err(TurnStoreError::Closed),
            },
        };
        if !turn.running {
            match self.parts.turn_store.begin(turn).await? {
                BeginOutcome::Now => {}
                BeginOutcome::Closed(failure) => {
                    self.end(pending, Ending::Failed(failure));
                    return Ok(None);
                }
                BeginOutcome::Gone => return Ok(None),
            }
        }
        let agent_id = agent.character.id;
        let (session, message) = (turn.session_id, pending.request.message.id);
        let trace = self.parts.feeds.trace(session, message);
        // With a trace, what is logged of the turn at any level can be found by it.
        let span = if let Some(trace_id) = trace.as_ref().map(TraceParent::trace_id) {
            tracing::info_span!("turn", %session, agent = %agent_id, trace_id)
        } else {
            tracing::debug_span!("turn", %session, agent = %agent_id)
        };
        let started = Instant::now();
        let mut attempts = Attempts::new(&self.parts, agent, pending, running, trace, slot);
        let result = {
            let outcome = pin!(attempts.run());
            outcome.instrument(span.clone()).await
        };
        let elapsed = started.elapsed();
        self.parts.meters.answered(agent_id, elapsed);
        span.in_scope(|| {
            tracing::debug!(
                ?elapsed,
                replied = result.is_ok(),
                "the backend has answered"
            );
        });
        let (slot, partial) = attempts.into_parts();
        Ok(Some(Asked {
            result,
            partial,
            _slot: slot,
        }))
    }

    async fn close(
        &self,
        pending: &PendingTurn,
        result: Result<Reply, FailedTurn>,
        partial: Option<String>,
    ) -> Result<(), TurnStoreError> {
        let states = &self.parts.meters.states;
        let (result, _cause) = match result {
            Ok(reply) => (Ok(reply), None),
            Err(FailedTurn { failure, cause }) => (
                Err(failure),
                Some(states.note_cause(pending.reply_id, cause)),
            ),
        };
        let turn_store = &self.parts.turn_store;
        let close = || turn_store.close(&pending.turn, result.clone(), partial.clone());
        match self.until_stored(close).await? {
            CloseOutcome::Replied(reply) => self.end(pending, Ending::Replied(reply)),
            CloseOutcome::Failed(failure) => self.end(pending, Ending::Failed(failure)),
            CloseOutcome::Gone => self.end(pending, Ending::Deleted),
        }
        Ok(())
    }

    /// Repeats a call of the turn store as long as a retry may succeed.
    async fn until_stored<T, F: Future<Output = Result<T, TurnStoreError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, TurnStoreError> {
        loop {
            match call().await {
                Err(TurnStoreError::Later) => self.parts.clock.sleep(STORE_PAUSE).await,
                result => return result,
            }
        }
    }

    fn end(&self, pending: &PendingTurn, ending: Ending) {
        let message = pending.request.message.id;
        self.parts
            .feeds
            .end(pending.turn.session_id, message, ending);
    }
}
