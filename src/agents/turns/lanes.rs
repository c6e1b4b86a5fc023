//! The lanes: one for each session whose turns are being run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedMutexGuard, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::{Runner, TurnStore};
use crate::domain::id::{AgentId, MessageId, SessionId};

/// A place among the turns that an agent runs at once, until it is dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// The lanes by their sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct Lanes {
    open: Arc<Mutex<HashMap<SessionId, Lane>>>,
}

#[derive(Debug)]
struct Lane {
    /// Whether the turn store may have more than the lane has seen.
    look_again: bool,
    /// The place that was kept for its first turn.
    place: Option<Place>,
    /// Cancels what the lane is doing.
    cancel: CancellationToken,
    /// Wakes a lane that waits for something to be submitted.
    nudge: Arc<Notify>,
    /// Held while a piece of a reply is told, or while nothing may be.
    gate: Arc<tokio::sync::Mutex<()>>,
    /// How often turns were closed by somebody else.
    closings: u64,
    /// The turn for which the agent is being asked.
    running: Option<Running>,
}

/// A turn for which the agent is being asked.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) message: MessageId,
    agent: AgentId,
    /// Cancelled where the answer is of no use any more.
    pub(super) over: CancellationToken,
    /// Held while a piece of the reply is told, or while nothing may be.
    pub(super) gate: Arc<tokio::sync::Mutex<()>>,
    /// Whether a piece of the reply was told.
    pub(super) has_spoken: Arc<AtomicBool>,
}

impl Lanes {
    /// Opens a lane; false where there is one.
    pub(super) fn open(
        &self,
        session: SessionId,
        cancel: &CancellationToken,
        place: Place,
    ) -> bool {
        match self.lock().entry(session) {
            Entry::Occupied(_) => false,
            Entry::Vacant(lane) => {
                lane.insert(Lane::new(cancel, Some(place)));
                true
            }
        }
    }

    /// Opens a lane, or has the one that there is look at the turn store again; says which.
    pub(super) fn open_or_nudge(&self, session: SessionId, cancel: &CancellationToken) -> bool {
        match self.lock().entry(session) {
            Entry::Occupied(mut lane) => {
                lane.get_mut().nudge();
                false
            }
            Entry::Vacant(lane) => {
                lane.insert(Lane::new(cancel, None));
                true
            }
        }
    }

    /// Has all lanes look again, those too whose agent is no longer known.
    pub(super) fn look_again(&self, is_known: &dyn Fn(AgentId) -> bool) {
        for lane in self.lock().values_mut() {
            lane.nudge();
            if let Some(running) = &lane.running
                && !is_known(running.agent)
            {
                running.over.cancel();
            }
        }
    }

    /// What is waited for to look again.
    pub(super) fn nudged(&self, session: SessionId) -> Arc<Notify> {
        let lanes = self.lock();
        let nudge = lanes.get(&session).map(|lane| Arc::clone(&lane.nudge));
        nudge.unwrap_or_default()
    }

    /// What is held while a piece of a reply is told.
    fn gate(&self, session: SessionId) -> Arc<tokio::sync::Mutex<()>> {
        let lanes = self.lock();
        let gate = lanes.get(&session).map(|lane| Arc::clone(&lane.gate));
        gate.unwrap_or_default()
    }

    /// How often turns were closed by somebody else.
    pub(super) fn closings(&self, session: SessionId) -> u64 {
        self.lock().get(&session).map_or(0, |lane| lane.closings)
    }

    /// The place that was kept for the lane's first turn.
    pub(super) fn take_place(&self, session: SessionId) -> Option<Place> {
        self.lock().get_mut(&session)?.place.take()
    }

    /// Notes for which message the agent is being asked; none where turns were closed since so
    /// many closings were counted, since its turn may be among them.
    pub(super) fn begin(
        &self,
        session: SessionId,
        message: MessageId,
        agent: AgentId,
        closings: u64,
    ) -> Option<Running> {
        let mut lanes = self.lock();
        let lane = lanes
            .get_mut(&session)
            .filter(|lane| lane.closings == closings)?;
        let running = Running {
            message,
            agent,
            over: CancellationToken::new(),
            gate: Arc::clone(&lane.gate),
            has_spoken: Arc::default(),
        };
        lane.running = Some(running.clone());
        Some(running)
    }

    /// Notes that the agent is no longer being asked.
    pub(super) fn end(&self, session: SessionId) {
        if let Some(lane) = self.lock().get_mut(&session) {
            lane.running = None;
        }
    }

    /// Cancels what a lane is doing.
    pub(super) fn cancel(&self, session: SessionId) {
        if let Some(lane) = self.lock().get(&session) {
            lane.cancel.cancel();
        }
    }

    /// Gives up a lane, unless there may be more to do.
    pub(super) fn leave(&self, session: SessionId) -> bool {
        let mut lanes = self.lock();
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

    /// Gives up a lane.
    pub(super) fn remove(&self, session: SessionId) {
        self.lock().remove(&session);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Lane>> {
        // No code panics with the lock held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn new(cancel: &CancellationToken, place: Option<Place>) -> Self {
        Self {
            look_again: false,
            place,
            cancel: cancel.clone(),
            nudge: Arc::default(),
            gate: Arc::default(),
            closings: 0,
            running: None,
        }
    }

    /// Has the lane look at the turn store again.
    fn nudge(&mut self) {
        self.look_again = true;
        self.nudge.notify_one();
    }
}

/// A lane that was claimed before its first turn was stored. Dropped, it is started: whatever
/// became of the turn, it is not left alone.
#[derive(Debug)]
pub struct Claim<L: TurnStore> {
    runner: Runner<L>,
    session: SessionId,
    cancel: CancellationToken,
}

impl<L: TurnStore> Claim<L> {
    pub(super) fn new(runner: Runner<L>, session: SessionId, cancel: CancellationToken) -> Self {
        Self {
            runner,
            session,
            cancel,
        }
    }
}

impl<L: TurnStore> Drop for Claim<L> {
    fn drop(&mut self) {
        self.runner.start(self.session, self.cancel.clone());
    }
}

/// Holds a session's running turn back from saying anything.
#[derive(Debug)]
pub struct Hold {
    lanes: Lanes,
    session: SessionId,
    _gate: OwnedMutexGuard<()>,
}

impl Hold {
    pub(super) async fn on(lanes: &Lanes, session: SessionId) -> Self {
        Self {
            lanes: lanes.clone(),
            session,
            _gate: lanes.gate(session).lock_owned().await,
        }
    }

    /// Whether a piece of the reply to this message was told before.
    #[must_use]
    pub fn has_spoken(&self, message: Option<MessageId>) -> bool {
        let lanes = self.lanes.lock();
        let running = lanes
            .get(&self.session)
            .and_then(|lane| lane.running.as_ref());
        running.is_some_and(|running| {
            Some(running.message) == message && running.has_spoken.load(Ordering::Acquire)
        })
    }

    /// Lets the turn go on, or ends it where its message is among those that were answered.
    pub fn release(self, answered: &[MessageId]) {
        let mut lanes = self.lanes.lock();
        let Some(lane) = lanes.get_mut(&self.session) else {
            return;
        };
        if !answered.is_empty() {
            lane.closings += 1;
        }
        if let Some(running) = &lane.running
            && answered.contains(&running.message)
        {
            running.over.cancel();
        }
        lane.nudge();
    }
}
