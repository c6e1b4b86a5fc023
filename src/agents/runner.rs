//! The turn runner.
//!
//! Each session with open turns has a lane: a task that takes the session's turns from the ledger
//! one after the other, in the ledger's order, and is gone when none is left. Lanes run beside
//! each other, as many turns of one agent at once as it has places. What is durable (which turns
//! are open, in which order, whether the agent was asked) is the ledger's; a lane holds nothing
//! that a crash could lose.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::backend::{BackendError, Piece, TurnRequest};
use super::feed::{Ending, Feeds};
use super::registry::{Agent, Registry};
use crate::clock::Clock;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::turn::{Begun, Closed, OpenTurn, Reply};
use crate::events::{Event, EventBus, Happening};
use crate::metrics::AgentMeters;

/// A reply is cut off here, in bytes.
const MAX_REPLY_BYTES: usize = 64 * 1024;

/// How long a lane waits before it asks a failing ledger again.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

/// What is stored of the turns.
pub trait Ledger: Send + Sync + 'static {
    /// The turn of a session that is to run next, as the backend of its agent wants to see it.
    ///
    /// # Errors
    /// The store fails.
    fn next(
        &self,
        session: SessionId,
        history_limit: &(dyn Fn(AgentId) -> usize + Sync),
    ) -> Result<Option<PendingTurn>, LedgerError>;

    /// Notes that the agent is about to be asked.
    fn begin(&self, turn: &OpenTurn) -> impl Future<Output = Result<Begun, LedgerError>> + Send;

    /// Closes a turn.
    fn close(
        &self,
        turn: &OpenTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> impl Future<Output = Result<Closed, LedgerError>> + Send;
}

/// Why the ledger did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerError {
    /// It may do so later.
    Later,
    /// What is stored of the session is damaged.
    Damaged,
    /// The server is stopping.
    Closed,
}

/// A turn that is to run.
#[derive(Debug)]
pub struct PendingTurn {
    /// Its place in the ledger.
    pub turn: OpenTurn,
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// What the agent is asked.
    pub request: TurnRequest,
}

/// A place among the turns that an agent runs at once, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl From<OwnedSemaphorePermit> for Place {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit }
    }
}

/// Runs the turns.
#[derive(Debug)]
pub struct Runner<L> {
    inner: Arc<Inner<L>>,
}

impl<L> Clone for Runner<L> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
struct Inner<L> {
    ledger: L,
    agents: Arc<Registry>,
    feeds: Feeds,
    events: EventBus,
    clock: Clock,
    meters: AgentMeters,
    lanes: Mutex<HashMap<SessionId, Lane>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct Lane {
    /// Whether the ledger may have more than the lane has seen.
    look_again: bool,
    /// The place that was kept for its first turn.
    place: Option<Place>,
    /// Cancels what the lane is doing.
    cancel: CancellationToken,
}

/// What the runner works with.
#[derive(Debug)]
pub struct Parts<L> {
    /// What is stored of the turns.
    pub ledger: L,
    /// Who is asked.
    pub agents: Arc<Registry>,
    /// Who waits.
    pub feeds: Feeds,
    /// Who listens.
    pub events: EventBus,
    /// What times the turns.
    pub clock: Clock,
    /// What counts how long the agents take.
    pub meters: AgentMeters,
}

impl<L: Ledger> Runner<L> {
    /// A runner that has nothing to do yet.
    #[must_use]
    pub fn new(parts: Parts<L>) -> Self {
        let Parts {
            ledger,
            agents,
            feeds,
            events,
            clock,
            meters,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                ledger,
                agents,
                feeds,
                events,
                clock,
                meters,
                lanes: Mutex::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        }
    }

    /// Runs the open turns of a session, unless they are being run already.
    pub fn wake(&self, session: SessionId) {
        self.wake_with(session, None);
    }

    /// As [`Self::wake`], with a place for the first turn. It is given up where the lane has work
    /// before that.
    pub fn wake_with(&self, session: SessionId, place: Option<Place>) {
        if self.inner.stopping.is_cancelled() {
            return;
        }
        let cancel = self.inner.stopping.child_token();
        match self.inner.lanes().entry(session) {
            Entry::Occupied(mut lane) => {
                lane.get_mut().look_again = true;
                return;
            }
            Entry::Vacant(lane) => {
                lane.insert(Lane {
                    look_again: false,
                    place,
                    cancel: cancel.clone(),
                });
            }
        }
        let inner = Arc::clone(&self.inner);
        self.inner
            .tasks
            .spawn(async move { inner.run_lane(session, cancel).await });
    }

    /// Stops what is being done for a session, which is no more.
    pub fn forget(&self, session: SessionId) {
        if let Some(lane) = self.inner.lanes().get(&session) {
            lane.cancel.cancel();
        }
        self.inner.feeds.end_session(session, &Ending::Deleted);
    }

    /// Keeps a place for a turn of this agent, which then runs at once, if one is free.
    #[must_use]
    pub fn keep_place(&self, agent: &Agent) -> Option<Place> {
        let place = Arc::clone(&agent.places).try_acquire_owned();
        place.ok().map(Place::from)
    }

    /// Begins to stop all turns where they are, to be taken up again at the next start.
    pub fn begin_stop(&self) {
        self.inner.stopping.cancel();
        self.inner.feeds.end_all(&Ending::Stopping);
    }

    /// Waits until no turn is running any more.
    pub async fn finish_stop(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl<L: Ledger> Inner<L> {
    fn lanes(&self) -> MutexGuard<'_, HashMap<SessionId, Lane>> {
        // No code panics with the lock held.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_lane(&self, session: SessionId, cancel: CancellationToken) {
        // Dropping the work in the middle is what a crash does too, and as harmless.
        let _ = cancel.run_until_cancelled(self.run_turns(session)).await;
        if cancel.is_cancelled() {
            self.lanes().remove(&session);
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
        loop {
            let next = self
                .ledger
                .next(session, &|agent| self.history_limit(agent));
            let result = match next {
                Ok(Some(turn)) => self.run_turn(&turn).await,
                Ok(None) if self.leave_lane(session) => return,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => {}
                Err(LedgerError::Later) => self.clock.sleep(LEDGER_PAUSE).await,
                Err(LedgerError::Damaged) => {
                    tracing::error!(%session, "the session's turns cannot be read and wait");
                    self.lanes().remove(&session);
                    return;
                }
                Err(LedgerError::Closed) => return,
            }
        }
    }

    /// Gives up the lane, unless there may be more to do.
    fn leave_lane(&self, session: SessionId) -> bool {
        let mut lanes = self.lanes();
        match lanes.get_mut(&session) {
            Some(lane) if lane.look_again => {
                lane.look_again = false;
                false
            }
            _ => {
                lanes.remove(&session);
                true
            }
        }
    }

    fn history_limit(&self, agent: AgentId) -> usize {
        self.agents
            .get(agent)
            .map_or(0, |agent| agent.backend.history_limit())
    }

    async fn run_turn(&self, pending: &PendingTurn) -> Result<(), LedgerError> {
        let PendingTurn { turn, request, .. } = pending;
        let Some(agent) = self.agents.get(request.agent_id) else {
            return self
                .close(pending, Err(TurnFailure::agent_not_found()), None)
                .await;
        };
        let kept = self
            .lanes()
            .get_mut(&turn.session_id)
            .and_then(|lane| lane.place.take());
        let _place = match kept {
            Some(place) => place,
            None => match Arc::clone(&agent.places).acquire_owned().await {
                Ok(place) => place.into(),
                // The semaphore is never closed.
                Err(_) => return Err(LedgerError::Closed),
            },
        };
        if !turn.running {
            match self.ledger.begin(turn).await? {
                Begun::Now => {}
                Begun::Closed(failure) => {
                    self.end(pending, Ending::Failed(failure));
                    return Ok(());
                }
                Begun::Gone => return Ok(()),
            }
        }
        let mut streamed = Streamed::default();
        let span = tracing::debug_span!(
            "turn", session = %turn.session_id, agent = %request.agent_id
        );
        let started = Instant::now();
        let asking = self.ask(&agent, pending, &mut streamed);
        let result = asking.instrument(span.clone()).await;
        let elapsed = started.elapsed();
        self.meters.answered(request.agent_id, elapsed);
        span.in_scope(|| tracing::debug!(?elapsed, replied = result.is_ok(), "asked"));
        let partial = Some(streamed.text).filter(|text| !text.is_empty());
        self.close(pending, result, partial).await
    }

    /// Asks the agent, within its time.
    async fn ask(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        streamed: &mut Streamed,
    ) -> Result<Reply, TurnFailure> {
        let session = pending.turn.session_id;
        let agent_id = agent.character.id;
        let reply = AssertUnwindSafe(self.stream(agent, pending, streamed)).catch_unwind();
        let failure = match self
            .clock
            .timeout(agent.character.backend.timeout(), reply)
            .await
        {
            Some(Ok(Ok(reply))) => return Ok(reply),
            Some(Ok(Err(error))) => {
                tracing::warn!(%session, agent = %agent_id, %error, "the agent failed");
                TurnFailure::agent_error()
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

    async fn stream(
        &self,
        agent: &Agent,
        pending: &PendingTurn,
        streamed: &mut Streamed,
    ) -> Result<Reply, BackendError> {
        let mut pieces = agent.backend.reply(pending.request.clone());
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Chunk(mut chunk) => {
                    let is_full = cut_off(&mut chunk, MAX_REPLY_BYTES - streamed.text.len());
                    self.tell_chunk(pending, streamed, &chunk);
                    if is_full {
                        return Ok(Reply::text(streamed.text.clone()));
                    }
                }
                Piece::Done(mut reply) => {
                    cut_off(&mut reply.body.content, MAX_REPLY_BYTES);
                    if streamed.chunks == 0 {
                        self.tell_chunk(pending, streamed, &reply.body.content);
                    }
                    return Ok(reply);
                }
            }
        }
        Err(BackendError(
            "the reply ended before it was complete".into(),
        ))
    }

    fn tell_chunk(&self, pending: &PendingTurn, streamed: &mut Streamed, chunk: &str) {
        if chunk.is_empty() {
            return;
        }
        let session_id = pending.turn.session_id;
        let text: Arc<str> = chunk.into();
        self.feeds
            .push(session_id, pending.request.message.id, Arc::clone(&text));
        let event = Event::ReplyChunk {
            reply_id: pending.reply_id,
            agent_id: pending.request.agent_id,
            index: streamed.chunks,
            text,
        };
        self.events.publish(Happening::new(session_id, event));
        streamed.text.push_str(chunk);
        streamed.chunks += 1;
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
            Closed::Replied(reply) => self.end(pending, Ending::Replied(Arc::new(reply))),
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

/// Cuts a text off at a length in bytes, at a character's boundary; returns whether it was cut.
fn cut_off(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    text.truncate(text.floor_char_boundary(max));
    true
}
