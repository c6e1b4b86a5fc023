//! The turn runner.
//!
//! Each session with open turns has a lane: a task that takes the session's turns from the turn store
//! one after the other, in the turn store's order, and is gone when none is left. Lanes run beside
//! each other, as many turns of one agent at once as it has places. What is durable (which turns
//! are open, in which order, whether the agent was asked) is the turn store's; a lane holds nothing
//! that a crash could lose.
//!
//! A turn that waits for a reply to be submitted has no place: its lane sleeps until the turn's
//! deadline, or until somebody nudges it.

pub mod reply_feed;

mod attempts;
mod lanes;
mod retry;
mod run_turn;

use std::future::Future;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lanes::Lanes;
pub use self::lanes::{Claim, Hold};
use self::reply_feed::{Ending, ReplyFeeds};
use super::backend::TurnRequest;
use super::registry::{Agent, Agents};
use crate::clock::Clock;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::domain::time::Timestamp;
use crate::domain::turn::{Begun, Closed, OpenTurn, Parked, Reply, Wants};
use crate::events::EventBus;
use crate::metrics::AgentMeters;

/// What is stored of the turns.
pub trait TurnStore: Send + Sync + 'static {
    /// The turn of a session that is to run next, as the backend of its agent wants to see it.
    /// Where the first one waits for a submit, it is the one that waits for the shortest time.
    ///
    /// # Errors
    /// The store fails.
    fn next(
        &self,
        session: SessionId,
        wants: &(dyn Fn(AgentId) -> Wants + Sync),
    ) -> impl Future<Output = Result<Option<PendingTurn>, TurnStoreError>> + Send;

    /// Waits until what was found damaged is out of the way.
    fn settle(&self) -> impl Future<Output = Result<(), TurnStoreError>> + Send;

    /// Notes that the agent is about to be asked.
    fn begin(&self, turn: &OpenTurn) -> impl Future<Output = Result<Begun, TurnStoreError>> + Send;

    /// Notes that a turn waits for a reply that is submitted.
    fn park(
        &self,
        turn: &OpenTurn,
        until: Timestamp,
    ) -> impl Future<Output = Result<Parked, TurnStoreError>> + Send;

    /// Closes a turn.
    fn close(
        &self,
        turn: &OpenTurn,
        result: Result<Reply, TurnFailure>,
        partial: Option<String>,
    ) -> impl Future<Output = Result<Closed, TurnStoreError>> + Send;

    /// Keeps the name that the server behind an agent has for a session.
    fn keep_upstream(
        &self,
        session: SessionId,
        name: String,
    ) -> impl Future<Output = Result<(), TurnStoreError>> + Send;
}

/// Why the turn store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnStoreError {
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
    /// Its place in the turn store.
    pub turn: OpenTurn,
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// What the agent is asked. Shared with each try.
    pub request: Arc<TurnRequest>,
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
    agents: Arc<Agents>,
    feeds: ReplyFeeds,
    events: EventBus,
    clock: Clock,
    meters: AgentMeters,
    lanes: Lanes,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

/// What the runner works with.
#[derive(Debug)]
pub struct Parts<L> {
    /// What is stored of the turns.
    pub ledger: L,
    /// Who is asked.
    pub agents: Arc<Agents>,
    /// Who waits.
    pub feeds: ReplyFeeds,
    /// Who listens.
    pub events: EventBus,
    /// What times the turns.
    pub clock: Clock,
    /// What counts how long the agents take.
    pub meters: AgentMeters,
}

impl<L: TurnStore> Runner<L> {
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
                lanes: Lanes::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
            }),
        }
    }

    /// Runs the open turns of a session, unless they are being run already.
    pub fn wake(&self, session: SessionId) {
        if self.inner.stopping.is_cancelled() {
            return;
        }
        let cancel = self.inner.stopping.child_token();
        if self.inner.lanes.open_or_nudge(session, &cancel) {
            self.start(session, cancel);
        }
    }

    /// Claims the lane of a session for a turn that is about to be stored as running: nobody else
    /// takes the turn up before the claim is dropped, and it has its place.
    ///
    /// None where the session has a lane already, or the agent has no place free: then the turn
    /// has to wait for its beginning.
    #[must_use]
    pub fn claim(&self, session: SessionId, agent: &Agent) -> Option<Claim<L>> {
        if self.inner.stopping.is_cancelled() {
            return None;
        }
        let place = Arc::clone(&agent.places).try_acquire_owned().ok()?;
        let cancel = self.inner.stopping.child_token();
        let is_ours = self.inner.lanes.open(session, &cancel, place);
        is_ours.then(|| Claim::new(self.clone(), session, cancel))
    }

    /// Holds back whatever a session's running turn is about to say, until the hold is released.
    pub async fn hold(&self, session: SessionId) -> Hold {
        Hold::on(&self.inner.lanes, session).await
    }

    /// Looks at the turns of all sessions again, since the agents are others now.
    pub fn look_again(&self) {
        let agents = self.inner.agents.now();
        self.inner
            .lanes
            .look_again(&|agent| agents.get(agent).is_some());
    }

    /// Stops what is being done for a session, which is no more.
    pub fn forget(&self, session: SessionId) {
        self.inner.lanes.cancel(session);
        self.inner.feeds.end_session(session, &Ending::Deleted);
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

    /// Starts the task of a lane that was opened.
    fn start(&self, session: SessionId, cancel: CancellationToken) {
        // A claim may be dropped with the runtime itself, when nothing can be started any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.inner.lanes.remove(session);
            return;
        };
        let inner = Arc::clone(&self.inner);
        let lane = async move { inner.run_lane(session, cancel).await };
        self.inner.tasks.spawn_on(lane, &runtime);
    }
}

#[cfg(test)]
mod tests;
