//! The state of the session workers: one for each session whose turns are running.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedMutexGuard, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::activity::WaitingActivity;
use crate::agents::reply_info::ReplyInfo;
use crate::domain::id::{AgentId, MessageId, SessionId};

/// A permit for a running turn of an agent.
pub(super) type Slot = OwnedSemaphorePermit;

/// The workers by session.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionWorkers {
    open: Arc<Mutex<HashMap<SessionId, SessionWorker>>>,
}

#[derive(Debug)]
struct SessionWorker {
    /// Whether the turn store may have changed since the worker has read it.
    must_check: bool,
    /// The reserved slot of the first turn.
    slot: Option<Slot>,
    /// Cancels the worker's task.
    cancel: CancellationToken,
    /// Wakes a worker that waits for a submission.
    wake: Arc<Notify>,
    /// Locked while a chunk is sent, and while sending is paused.
    output: Arc<tokio::sync::Mutex<()>>,
    /// How many submissions have closed turns.
    submissions: u64,
    running: Option<RunningTurn>,
}

/// A turn whose agent is being asked.
#[derive(Debug, Clone)]
pub(super) struct RunningTurn {
    pub(super) message: MessageId,
    /// The id that the reply will have.
    pub(super) reply_id: MessageId,
    pub(super) agent: AgentId,
    /// Cancelled when the reply is no longer needed.
    pub(super) over: CancellationToken,
    /// Locked while a chunk is sent, and while sending is paused.
    pub(super) output: Arc<tokio::sync::Mutex<()>>,
    pub(super) has_sent_chunk: Arc<AtomicBool>,
    pub(super) activity: WaitingActivity,
    /// What is known so far about how the reply is made.
    pub(super) info: Arc<Mutex<ReplyInfo>>,
}

impl SessionWorkers {
    /// Adds a worker with a reserved slot; returns false if the session has a worker.
    pub(super) fn open_reserved(
        &self,
        session: SessionId,
        cancel: &CancellationToken,
        slot: Slot,
    ) -> bool {
        let mut workers = self.lock();
        let is_new = !workers.contains_key(&session);
        if is_new {
            workers.insert(session, SessionWorker::new(cancel, Some(slot)));
        }
        is_new
    }

    /// Adds a worker; wakes the existing one and returns false if the session has one.
    pub(super) fn open_or_wake(&self, session: SessionId, cancel: &CancellationToken) -> bool {
        let mut workers = self.lock();
        if let Some(worker) = workers.get_mut(&session) {
            worker.wake();
            return false;
        }
        workers.insert(session, SessionWorker::new(cancel, None));
        true
    }

    /// Wakes all workers, and ends running turns whose agent is unknown.
    pub(super) fn wake_all(&self, is_known: &dyn Fn(AgentId) -> bool) {
        for worker in self.lock().values_mut() {
            worker.wake();
            if let Some(running) = &worker.running
                && !is_known(running.agent)
            {
                running.over.cancel();
            }
        }
    }

    /// Returns what wakes a worker that waits for a submission.
    pub(super) fn wake_signal(&self, session: SessionId) -> Arc<Notify> {
        let signal = self.with(session, |worker| Arc::clone(&worker.wake));
        signal.unwrap_or_default()
    }

    /// Returns how many submissions have closed turns.
    pub(super) fn submissions(&self, session: SessionId) -> u64 {
        let submissions = self.with(session, |worker| worker.submissions);
        submissions.unwrap_or_default()
    }

    /// Takes the reserved slot of the first turn.
    pub(super) fn take_slot(&self, session: SessionId) -> Option<Slot> {
        self.with(session, |worker| worker.slot.take())?
    }

    /// Registers the running turn; `None` if a submission has closed turns since `submissions` were
    /// counted, since this one may be among them.
    pub(super) fn begin(
        &self,
        session: SessionId,
        message: MessageId,
        reply_id: MessageId,
        agent: AgentId,
        submissions: u64,
    ) -> Option<RunningTurn> {
        self.with(session, |worker| {
            if worker.submissions != submissions {
                return None;
            }
            let running = RunningTurn {
                message,
                reply_id,
                agent,
                over: CancellationToken::new(),
                output: Arc::clone(&worker.output),
                has_sent_chunk: Arc::default(),
                activity: WaitingActivity::default(),
                info: Arc::default(),
            };
            worker.running = Some(running.clone());
            Some(running)
        })?
    }

    /// Unregisters the running turn.
    pub(super) fn end(&self, session: SessionId) {
        self.with(session, |worker| worker.running = None);
    }

    /// Cancels a worker's task.
    pub(super) fn cancel(&self, session: SessionId) {
        self.with(session, |worker| worker.cancel.cancel());
    }

    /// Removes a worker without turns; returns false if it must check the turn store again.
    pub(super) fn leave(&self, session: SessionId) -> bool {
        let mut workers = self.lock();
        match workers.get_mut(&session) {
            Some(worker) if worker.must_check => {
                worker.must_check = false;
                false
            }
            _ => {
                workers.remove(&session);
                true
            }
        }
    }

    /// Removes a worker.
    pub(super) fn remove(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    /// Calls `f` with a session's worker, if it has one.
    fn with<T>(&self, session: SessionId, f: impl FnOnce(&mut SessionWorker) -> T) -> Option<T> {
        self.lock().get_mut(&session).map(f)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, SessionWorker>> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionWorker {
    fn new(cancel: &CancellationToken, slot: Option<Slot>) -> Self {
        Self {
            must_check: false,
            slot,
            cancel: cancel.clone(),
            wake: Arc::default(),
            output: Arc::default(),
            submissions: 0,
            running: None,
        }
    }

    /// Makes the worker check the turn store.
    fn wake(&mut self) {
        self.must_check = true;
        self.wake.notify_one();
    }
}

/// Pauses the chunks of a session's running turn.
#[derive(Debug)]
pub struct OutputPause {
    workers: SessionWorkers,
    session: SessionId,
    _output: OwnedMutexGuard<()>,
}

impl OutputPause {
    pub(super) async fn new(workers: &SessionWorkers, session: SessionId) -> Self {
        let output = workers.with(session, |worker| Arc::clone(&worker.output));
        Self {
            workers: workers.clone(),
            session,
            _output: output.unwrap_or_default().lock_owned().await,
        }
    }

    /// Returns the running turn, unless it is over.
    pub(super) fn running(&self) -> Option<RunningTurn> {
        let running = self.workers.with(self.session, |it| it.running.clone());
        running.flatten().filter(|it| !it.over.is_cancelled())
    }

    /// Returns what is known so far about how the reply to a message is made, if its turn is running.
    #[must_use]
    pub fn reply_info(&self, message: MessageId) -> ReplyInfo {
        let running = self.running().filter(|running| running.message == message);
        running.map_or_else(ReplyInfo::default, |running| {
            // No code panics with the lock held.
            let info = running.info.lock();
            info.unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Returns the message of the running turn, if a part of its reply was sent.
    #[must_use]
    pub fn partly_answered(&self) -> Option<MessageId> {
        let message = self.workers.with(self.session, |worker| {
            let running = worker.running.as_ref()?;
            let has_sent_chunk = running.has_sent_chunk.load(Ordering::Acquire);
            has_sent_chunk.then_some(running.message)
        });
        message.flatten()
    }

    /// Resumes the running turn, or ends it if its message is among the answered ones.
    pub fn release(self, answered: &[MessageId]) {
        self.workers.with(self.session, |worker| {
            if !answered.is_empty() {
                worker.submissions += 1;
            }
            if let Some(running) = &worker.running
                && answered.contains(&running.message)
            {
                running.over.cancel();
            }
            worker.wake();
        });
    }
}
