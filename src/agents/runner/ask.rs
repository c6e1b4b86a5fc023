//! What a lane does: it runs a session's turns, one after the other.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::lanes::{Place, Running};
use super::retry::{self, MAX_TRIES};
use super::{Inner, Ledger, LedgerError, PendingTurn};
use crate::agents::backend::{Answering, BackendError, Piece, TurnRequest, Wants};
use crate::agents::feed::Ending;
use crate::agents::registry::Agent;
use crate::domain::id::{AgentId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::turn::{Begun, Closed, Reply};
use crate::events::Event;

/// A reply is cut off here, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// How long a lane waits before it asks a failing ledger again.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// What asking an agent came to.
enum Asked {
    /// An answer, or a failure; the place is given up once that is stored.
    Answered {
        result: Result<Answer, TurnFailure>,
        partial: Option<String>,
        place: Place,
    },
    /// The turn was over before it began.
    Over,
}

/// What an agent answered.
enum Answer {
    /// Its reply.
    Reply(Reply),
    /// That the reply is to be submitted, until then.
    Later(Timestamp),
}

impl<L: Ledger> Inner<L> {
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
            let next = self.ledger.next(session, &|agent| self.wants(agent));
            let result = match next {
                Ok(Some(turn)) => self.run_turn(&turn, closings).await,
                Ok(None) if self.lanes.leave(session) => return,
                Ok(None) => Ok(()),
                Err(LedgerError::Damaged) if !was_damaged => {
                    was_damaged = true;
                    if self.pass_over_damage(session).await.is_ok() {
                        continue;
                    }
                    Err(LedgerError::Later)
                }
                Err(error) => Err(error),
            };
            was_damaged = result == Err(LedgerError::Damaged);
            match result {
                Ok(()) => {}
                Err(LedgerError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(LedgerError::Damaged) => {
                    tracing::error!(%session, "the session's turns cannot be read and wait");
                    self.lanes.remove(session);
                    return;
                }
                Err(LedgerError::Closed) => return,
            }
        }
    }

    /// Waits until what cannot be read is set aside, so that the turns behind it go on. Whoever
    /// waits for it waits in vain.
    async fn pass_over_damage(&self, session: SessionId) -> Result<(), LedgerError> {
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

    async fn run_turn(&self, pending: &PendingTurn, closings: u64) -> Result<(), LedgerError> {
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
            // The ledger may have changed since it was read.
            return Ok(());
        };
        let asked = {
            let asking = pin!(self.begin_and_ask(&agent, pending, &running));
            running.over.run_until_cancelled(asking).await
        };
        let finished = match asked {
            // Its reply was submitted, or its agent is gone: the ledger knows.
            None => Ok(()),
            Some(Ok(asked)) => self.finish(pending, asked).await,
            Some(Err(error)) => Err(error),
        };
        self.lanes.end(session);
        finished
    }

    /// Stores what asking came to.
    async fn finish(&self, pending: &PendingTurn, asked: Asked) -> Result<(), LedgerError> {
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
    ) -> Result<(), LedgerError> {
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
    ) -> Result<Asked, LedgerError> {
        let turn = &pending.turn;
        let place = match self.lanes.take_place(turn.session_id) {
            Some(place) => place,
            None => match Arc::clone(&agent.places).acquire_owned().await {
                Ok(place) => place,
                // The semaphore is never closed.
                Err(_) => return Err(LedgerError::Closed),
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
        let mut streamed = Streamed::default();
        let agent_id = agent.character.id;
        let span = tracing::debug_span!("turn", session = %turn.session_id, agent = %agent_id);
        let started = Instant::now();
        let result = {
            let asking = pin!(self.ask(agent, pending, running, &mut streamed));
            asking.instrument(span.clone()).await
        };
        let elapsed = started.elapsed();
        self.meters.answered(agent_id, elapsed);
        span.in_scope(|| tracing::debug!(?elapsed, replied = result.is_ok(), "asked"));
        Ok(Asked::Answered {
            result,
            partial: Some(streamed.text).filter(|text| !text.is_empty()),
            place,
        })
    }

    /// Asks the agent, within its time.
    async fn ask(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        running: &Running,
        streamed: &mut Streamed,
    ) -> Result<Answer, TurnFailure> {
        let session = pending.turn.session_id;
        let agent_id = agent.character.id;
        let allowed = agent.character.backend.timeout();
        let span = Millis(i64::try_from(allowed.as_millis()).unwrap_or(i64::MAX));
        let until = self.clock.now() + span;
        let asking = pin!(self.ask_until_answered(agent, pending, running, streamed));
        let answer = AssertUnwindSafe(asking).catch_unwind();
        let failure = match self.clock.timeout(allowed, answer).await {
            Some(Ok(Ok(Some(reply)))) => return Ok(Answer::Reply(reply)),
            Some(Ok(Ok(None))) => return Ok(Answer::Later(until)),
            Some(Ok(Err(error))) => {
                tracing::warn!(%session, agent = %agent_id, %error, "the agent failed");
                match error {
                    BackendError::TimedOut(_) => TurnFailure::agent_timeout(),
                    BackendError::Transient { .. } | BackendError::Final(_) => {
                        TurnFailure::agent_error()
                    }
                }
            }
            Some(Err(_)) => {
                tracing::error!(%session, agent = %agent_id, "the agent's backend panicked");
                TurnFailure::agent_error()
            }
            None => {
                tracing::warn!(%session, agent = %agent_id, "the agent took too long");
                TurnFailure::agent_timeout()
            }
        };
        Err(failure)
    }

    /// Asks the agent, and again where that may help; none where the reply is to be submitted.
    async fn ask_until_answered(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        running: &Running,
        streamed: &mut Streamed,
    ) -> Result<Option<Reply>, BackendError> {
        let mut request = Arc::clone(&pending.request);
        let mut tries = 1;
        loop {
            let answer = self.ask_once(agent, pending, running, &mut request, streamed);
            let error = match answer.await {
                Err(error) if streamed.chunks == 0 && tries < MAX_TRIES => error,
                answer => return answer,
            };
            let BackendError::Transient {
                retry_after: after, ..
            } = &error
            else {
                return Err(error);
            };
            let Some(wait) = retry::wait(tries, *after, self.clock.now()) else {
                return Err(error);
            };
            let session = pending.turn.session_id;
            tracing::info!(%session, agent = %agent.character.id, %error, ?wait, "asking again");
            self.clock.sleep(wait).await;
            tries += 1;
        }
    }

    async fn ask_once(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        running: &Running,
        request: &mut Arc<TurnRequest>,
        streamed: &mut Streamed,
    ) -> Result<Option<Reply>, BackendError> {
        let mut pieces = agent.backend.reply(Arc::clone(request));
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Chunk(mut chunk) => {
                    let is_full = cut_off(&mut chunk, MAX_REPLY_BYTES - streamed.text.len());
                    self.tell(pending, running, streamed, &chunk, &[chunk.len()])
                        .await;
                    if is_full {
                        return Ok(Some(Reply::text(streamed.text.clone())));
                    }
                }
                Piece::Done(reply, ends) => {
                    let told = self.tell_whole(pending, running, streamed, reply, ends);
                    return Ok(Some(told.await));
                }
                Piece::Later => return Ok(None),
                Piece::Upstream(name) => {
                    self.keep_upstream(pending.turn.session_id, &name).await;
                    Arc::make_mut(request).upstream = Some(name);
                }
            }
        }
        Err(BackendError::Final(
            "the reply ended before it was complete".into(),
        ))
    }

    /// A name that cannot be kept is made anew with the next turn, so it is not waited for.
    async fn keep_upstream(&self, session: SessionId, name: &str) {
        let kept = self.ledger.keep_upstream(session, name.to_owned()).await;
        if let Err(error) = kept {
            tracing::warn!(%session, ?error, "the name of a session elsewhere was not kept");
        }
    }

    /// Tells a reply that is there as a whole, in pieces that end at these places and at its own
    /// end, unless it was streamed before; the reply, cut off where it is too long.
    async fn tell_whole(
        &self,
        pending: &PendingTurn,
        running: &Running,
        streamed: &mut Streamed,
        mut reply: Reply,
        mut ends: Vec<usize>,
    ) -> Reply {
        let text = &mut reply.body.content;
        cut_off(text, MAX_REPLY_BYTES);
        if streamed.chunks == 0 {
            ends.retain(|end| *end < text.len());
            ends.push(text.len());
            self.tell(pending, running, streamed, text, &ends).await;
        }
        reply
    }

    /// Tells a text that was said, in pieces that end at these places.
    async fn tell(
        &self,
        pending: &PendingTurn,
        running: &Running,
        streamed: &mut Streamed,
        text: &str,
        ends: &[usize],
    ) {
        if text.is_empty() {
            return;
        }
        let _gate = running.gate.lock().await;
        if running.over.is_cancelled() {
            // The turn is over, and whoever waits for this is about to be dropped.
            return std::future::pending().await;
        }
        running.has_spoken.store(true, Ordering::Release);
        let (session, request) = (pending.turn.session_id, &pending.request);
        let message = request.message.id;
        self.feeds.push(session, message, pieces(text, ends));
        let first = streamed.chunks;
        let chunk = |(index, piece): (u32, &str)| Event::ReplyChunk {
            reply_id: pending.reply_id,
            agent_id: request.session.agent_id,
            index,
            text: piece.into(),
        };
        let chunks = (first..).zip(pieces(text, ends)).map(chunk);
        self.events.publish_all(session, chunks);
        streamed.text.push_str(text);
        streamed.chunks += u32::try_from(ends.len()).unwrap_or(u32::MAX);
    }

    /// Notes that a turn waits for a submit, however long the ledger takes to be able to.
    async fn park(&self, pending: &PendingTurn, until: Timestamp) -> Result<(), LedgerError> {
        loop {
            match self.ledger.park(&pending.turn, until).await {
                // Where it is gone, its reply has been submitted already.
                Ok(_) => return Ok(()),
                Err(LedgerError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes the turn, however long the ledger takes to be able to.
    async fn close(
        &self,
        pending: &PendingTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> Result<(), LedgerError> {
        let closed = loop {
            let closing = self
                .ledger
                .close(&pending.turn, result.clone(), partial.clone());
            match closing.await {
                Ok(closed) => break closed,
                Err(LedgerError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
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

/// What was streamed of a reply so far.
#[derive(Debug, Default)]
struct Streamed {
    text: String,
    chunks: u32,
}

/// The pieces of a text that end at these places.
fn pieces<'t>(text: &'t str, ends: &[usize]) -> impl Iterator<Item = &'t str> {
    let mut start = 0;
    ends.iter().map(move |end| {
        let piece = text.get(start..*end).unwrap_or_default();
        start = *end;
        piece
    })
}

/// Cuts a text off at a length in bytes, at a character's boundary; returns whether it was cut.
fn cut_off(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    text.truncate(text.floor_char_boundary(max));
    true
}
