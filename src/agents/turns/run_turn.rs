//! What a lane does: it runs a session's turns, one after the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempts::{Answer, Asking};
use super::lanes::{Place, Running};
use super::reply_feed::Ending;
use super::{Inner, PendingTurn, TurnStore, TurnStoreError};
use crate::agents::backend::Answering;
use crate::agents::registry::Agent;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{Begun, Closed, Reply, Wants};

/// How long a lane waits before it asks a failing turn store again.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// What asking an agent came to.
enum Asked {
    /// An answer, or a failure; the place is given up once that is stored.
    Answered {
        result: Result<Answer, TurnFailure>,
        partial: Option<String>,
        place: Option<Place>,
    },
    /// The turn was over before it began.
    Over,
}

impl<L: TurnStore> Inner<L> {
    pub(super) async fn run_lane(&self, session: SessionId, cancel: CancellationToken) {
        // Here and below, a future is pinned where it is made: one that is handed on as it is has a
        // place in the lane for each hand that it passes through, and is copied there.
        let work = pin!(self.run_turns(session));
        // Dropping the work in the middle is what a crash does too, and as harmless.
        let _ = cancel.run_until_cancelled(work).await;
        if cancel.is_cancelled() {
            self.lanes.remove(session);
            // A piece of the reply may have come between the end of the feeds and that of the lane;
            // at a stop, the lane may even end before the feeds do.
            let ending = if self.stopping.is_cancelled() {
                Ending::Stopping
            } else {
                Ending::Deleted
            };
            self.feeds.end_session(session, &ending);
        }
    }

    async fn run_turns(&self, session: SessionId) {
        let mut was_damaged = false;
        loop {
            let closings = self.lanes.closings(session);
            let next = self.ledger.next(session, &|agent| self.wants(agent)).await;
            let result = match next {
                Ok(Some(turn)) => self.run_turn(&turn, closings).await,
                Ok(None) if self.lanes.leave(session) => return,
                Ok(None) => Ok(()),
                Err(TurnStoreError::Damaged) if !was_damaged => {
                    was_damaged = true;
                    if self.pass_over_damage(session).await.is_ok() {
                        continue;
                    }
                    Err(TurnStoreError::Later)
                }
                Err(error) => Err(error),
            };
            was_damaged = result == Err(TurnStoreError::Damaged);
            match result {
                Ok(()) => {}
                Err(TurnStoreError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(TurnStoreError::Damaged) => {
                    tracing::error!(%session, "the session's turns cannot be read and wait");
                    self.lanes.remove(session);
                    return;
                }
                Err(TurnStoreError::Closed) => return,
            }
        }
    }

    /// Waits until what cannot be read is set aside, so that the turns behind it go on. Whoever
    /// waits for it waits in vain.
    async fn pass_over_damage(&self, session: SessionId) -> Result<(), TurnStoreError> {
        tracing::error!(%session, "a turn of the session cannot be read");
        let failed = Ending::Failed(TurnFailure::agent_error());
        self.feeds.end_session(session, &failed);
        self.ledger.settle().await
    }

    fn wants(&self, agent: AgentId) -> Wants {
        self.agents
            .get(agent)
            .map_or_else(Wants::default, |agent| agent.backend.wants())
    }

    async fn run_turn(&self, pending: &PendingTurn, closings: u64) -> Result<(), TurnStoreError> {
        let PendingTurn { turn, request, .. } = pending;
        let Some(agent) = self.agents.get(request.session.agent_id) else {
            return self
                .close(pending, Err(TurnFailure::agent_not_found()), None)
                .await;
        };
        if let Some(until) = turn.waits_until
            && agent.backend.answering() != Answering::Itself
        {
            return self.wait_for_submit(pending, until).await;
        }
        let (session, agent_id) = (turn.session_id, request.session.agent_id);
        let begun = self
            .lanes
            .begin(session, request.message.id, agent_id, closings);
        let Some(running) = begun else {
            // The turn store may have changed since it was read.
            return Ok(());
        };
        let asked = {
            let asking = pin!(self.begin_and_ask(&agent, pending, &running));
            running.over.run_until_cancelled(asking).await
        };
        let finished = match asked {
            // Its reply was submitted, or its agent is gone: the turn store knows.
            None => Ok(()),
            Some(Ok(asked)) => self.finish(pending, asked).await,
            Some(Err(error)) => Err(error),
        };
        self.lanes.end(session);
        finished
    }

    /// Stores what asking came to.
    async fn finish(&self, pending: &PendingTurn, asked: Asked) -> Result<(), TurnStoreError> {
        let Asked::Answered {
            result,
            partial,
            place: _place,
        } = asked
        else {
            return Ok(());
        };
        match result {
            Ok(Answer::Reply(reply)) => self.close(pending, Ok(reply), partial).await,
            Ok(Answer::Later(until)) => self.park(pending, until).await,
            Err(failure) => self.close(pending, Err(failure), partial).await,
        }
    }

    /// Waits until something is submitted, or the turn's time is over.
    async fn wait_for_submit(
        &self,
        pending: &PendingTurn,
        until: Timestamp,
    ) -> Result<(), TurnStoreError> {
        let nudge = self.lanes.nudged(pending.turn.session_id);
        tokio::select! {
            biased;
            () = nudge.notified() => Ok(()),
            () = self.clock.sleep_until(until) => {
                let session = pending.turn.session_id;
                tracing::warn!(%session, "nobody submitted a reply in time");
                self.close(pending, Err(TurnFailure::agent_timeout()), None).await
            }
        }
    }

    async fn begin_and_ask(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        running: &Running,
    ) -> Result<Asked, TurnStoreError> {
        let turn = &pending.turn;
        let place = match self.lanes.take_place(turn.session_id) {
            Some(place) => place,
            None => match Arc::clone(&agent.places).acquire_owned().await {
                Ok(place) => place,
                // The semaphore is never closed.
                Err(_) => return Err(TurnStoreError::Closed),
            },
        };
        if !turn.running {
            match self.ledger.begin(turn).await? {
                Begun::Now => {}
                Begun::Closed(failure) => {
                    self.end(pending, Ending::Failed(failure));
                    return Ok(Asked::Over);
                }
                Begun::Gone => return Ok(Asked::Over),
            }
        }
        let agent_id = agent.character.id;
        let span = tracing::debug_span!("turn", session = %turn.session_id, agent = %agent_id);
        let started = Instant::now();
        let mut asking = Asking::new(self, agent, pending, running, place);
        let result = {
            let answer = pin!(asking.answer());
            answer.instrument(span.clone()).await
        };
        let elapsed = started.elapsed();
        self.meters.answered(agent_id, elapsed);
        span.in_scope(|| tracing::debug!(?elapsed, replied = result.is_ok(), "asked"));
        let (place, partial) = asking.into_parts();
        Ok(Asked::Answered {
            result,
            partial,
            place,
        })
    }

    /// A name that cannot be kept is made anew with the next turn, so it is not waited for.
    pub(super) async fn keep_upstream(&self, session: SessionId, name: &str) {
        let kept = self.ledger.keep_upstream(session, name.to_owned()).await;
        if let Err(error) = kept {
            tracing::warn!(%session, ?error, "the name of a session elsewhere was not kept");
        }
    }

    /// Notes that a turn waits for a submit, however long the turn store takes to be able to.
    async fn park(&self, pending: &PendingTurn, until: Timestamp) -> Result<(), TurnStoreError> {
        loop {
            match self.ledger.park(&pending.turn, until).await {
                // Where it is gone, its reply has been submitted already.
                Ok(_) => return Ok(()),
                Err(TurnStoreError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the turn, however long the turn store takes to be able to.
    async fn close(
        &self,
        pending: &PendingTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> Result<(), TurnStoreError> {
        let closed = loop {
            let closing = self
                .ledger
                .close(&pending.turn, result.clone(), partial.clone());
            match closing.await {
                Ok(closed) => break closed,
                Err(TurnStoreError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(error) => return Err(error),
            }
        };
        match closed {
            Closed::Replied(reply) => self.end(pending, Ending::Replied(reply)),
            Closed::Failed(failure) => self.end(pending, Ending::Failed(failure)),
            Closed::Gone => self.end(pending, Ending::Deleted),
        }
        Ok(())
    }

    fn end(&self, pending: &PendingTurn, ending: Ending) {
        self.feeds
            .end(pending.turn.session_id, pending.request.message.id, ending);
    }
}
