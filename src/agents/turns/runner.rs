//! The runner: starts, wakes and stops the session workers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reply_feed::{Ending, ReplyFeeds};
use super::session_worker::{OutputPause, SessionWorkers};
use super::turn_store::TurnStore;
use crate::agents::registry::{Agent, Agents};
use crate::clock::Clock;
use crate::domain::id::SessionId;
use crate::events::EventBus;
use crate::metrics::AgentMetrics;

/// Runs the turns.
#[derive(Debug)]
pub struct Runner<S> {
    inner: Arc<Inner<S>>,
}

impl<S> Clone for Runner<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inner<S> {
    pub(super) parts: RunnerParts<S>,
    pub(super) workers: SessionWorkers,
    pub(super) stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What the runner works with.
#[derive(Debug)]
pub struct RunnerParts<S> {
    /// Stores the turns.
    pub turn_store: S,
    /// Whose turns are run.
    pub agents: Arc<Agents>,
    /// Receive chunks, activity and endings.
    pub feeds: ReplyFeeds,
    /// Receives chunks and activity.
    pub events: EventBus,
    /// Times the turns.
    pub clock: Clock,
    /// Measures how long the agents take.
    pub meters: AgentMetrics,
}

impl<S: TurnStore> Runner<S> {
    /// Returns a runner without workers.
    #[must_use]
    pub fn new(parts: RunnerParts<S>) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                workers: SessionWorkers::default(),
                stopping: CancellationToken::new(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// Runs the open turns of a session; its worker checks for new ones if it is running.
    pub fn wake(&self, session: SessionId) {
        if self.inner.stopping.is_cancelled() {
            return;
        }
        let cancel = self.inner.stopping.child_token();
        if self.inner.workers.open_or_wake(session, &cancel) {
            self.start(session, cancel);
        }
    }

    /// Reserves the worker of a session and a slot for a turn that is about to be stored as
    /// running: the worker starts when the reservation is dropped.
    ///
    /// Returns `None` if the session has a worker or the agent has no free slot; then the turn must
    /// be stored as not begun.
    #[must_use]
    pub fn reserve(&self, session: SessionId, agent: &Agent) -> Option<Reservation<S>> {
        if self.inner.stopping.is_cancelled() {
            return None;
        }
        let slot = Arc::clone(&agent.slots).try_acquire_owned().ok()?;
        let cancel = self.inner.stopping.child_token();
        let is_reserved = self.inner.workers.open_reserved(session, &cancel, slot);
        is_reserved.then(|| Reservation {
            runner: self.clone(),
            session,
            cancel,
        })
    }

    /// Pauses the chunks of a session's running turn until the pause is released.
    pub async fn pause_output(&self, session: SessionId) -> OutputPause {
        let pause = OutputPause::new(&self.inner.workers, session).await;
        if let Some(running) = pause.running() {
            // The caller may end the turn.
            self.inner.parts.send_last_activity(session, &running);
        }
        pause
    }

    /// Makes all workers check their turns, after the agents were replaced.
    pub fn wake_all(&self) {
        let agents = self.inner.parts.agents.now();
        let is_known = |agent| agents.get(agent).is_some();
        self.inner.workers.wake_all(&is_known);
    }

    /// Stops the worker of a deleted session.
    pub fn forget(&self, session: SessionId) {
        self.inner.workers.cancel(session);
        let feeds = &self.inner.parts.feeds;
        feeds.end_session(session, &Ending::Deleted);
    }

    /// Cancels all running turns, which the next start resumes.
    pub fn begin_stop(&self) {
        self.inner.stopping.cancel();
        self.inner.parts.feeds.end_all(&Ending::Stopping);
    }

    /// Waits until all workers have ended.
    pub async fn finish_stop(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Starts the task of a worker.
    fn start(&self, session: SessionId, cancel: CancellationToken) {
        // A reservation may be dropped together with the runtime.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.inner.workers.remove(session);
            return;
        };
        let inner = Arc::clone(&self.inner);
        let worker = async move { inner.run_worker(session, cancel).await };
        self.inner.tasks.spawn_on(worker, &runtime);
    }
}

/// A worker that is reserved before its first turn is stored. Dropping it starts the worker,
/// whether or not the turn was stored.
#[derive(Debug)]
pub struct Reservation<S: TurnStore> {
    runner: Runner<S>,
    session: SessionId,
    cancel: CancellationToken,
}

impl<S: TurnStore> Drop for Reservation<S> {
    fn drop(&mut self) {
        self.runner.start(self.session, self.cancel.clone());
    }
}
