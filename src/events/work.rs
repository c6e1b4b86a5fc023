//! Changes of the turns that wait for a submitted reply, for the agents that submit it.
//!
//! The store's writer publishes them after the commit that made them true.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::domain::id::{AgentId, MessageId, TurnId};
use crate::domain::waiting::{ClosedReason, WaitingPosition};

/// The largest number of subscriptions of one agent.
pub const MAX_SUBSCRIPTIONS: usize = 16;

/// How many events may wait for a subscription. An event has about 100 bytes.
const BACKLOG: usize = 8192;

/// A change of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkEvent {
    /// The agent.
    pub agent_id: AgentId,
    /// The turn.
    pub position: WaitingPosition,
    /// What happened.
    pub change: WorkChange,
}

/// What happened to a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkChange {
    /// It waits for a submitted reply.
    Waits,
    /// It no longer waits.
    Closed {
        /// Its id.
        turn_id: TurnId,
        /// The user's message.
        message_id: MessageId,
        /// Why.
        reason: ClosedReason,
    },
}

/// Carries the changes to the subscriptions of their agent.
#[derive(Debug, Clone, Default)]
pub struct WorkBus(Arc<Mutex<Subscribers>>);

#[derive(Debug, Default)]
struct Subscribers {
    agents: HashMap<AgentId, Vec<Subscriber>>,
    next_id: u64,
}

#[derive(Debug)]
struct Subscriber {
    id: u64,
    events: mpsc::Sender<WorkEvent>,
    has_lagged: Arc<AtomicBool>,
}

/// Receives the changes of one agent's turns.
#[derive(Debug)]
pub struct WorkSubscription {
    agent_id: AgentId,
    id: u64,
    events: mpsc::Receiver<WorkEvent>,
    has_lagged: Arc<AtomicBool>,
    bus: WorkBus,
}

/// A subscription lagged too far behind and was closed, so it missed events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedEvents;

impl WorkBus {
    /// Sends a change to the subscriptions of its agent, except those that lag too far behind.
    pub fn publish(&self, event: WorkEvent) {
        let mut subscribers = self.lock();
        let Some(of_agent) = subscribers.agents.get_mut(&event.agent_id) else {
            return;
        };
        of_agent.retain(|subscriber| {
            let is_sent = subscriber.events.try_send(event).is_ok();
            if !is_sent {
                subscriber.has_lagged.store(true, Ordering::Release);
            }
            is_sent
        });
        if of_agent.is_empty() {
            subscribers.agents.remove(&event.agent_id);
        }
    }

    /// Subscribes to an agent's turns from now on; `None` if the agent has
    /// [`MAX_SUBSCRIPTIONS`] already.
    #[must_use]
    pub fn subscribe(&self, agent_id: AgentId) -> Option<WorkSubscription> {
        let mut subscribers = self.lock();
        let id = subscribers.next_id;
        subscribers.next_id += 1;
        let of_agent = subscribers.agents.entry(agent_id).or_default();
        if of_agent.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        let (sender, events) = mpsc::channel(BACKLOG);
        let has_lagged = Arc::new(AtomicBool::new(false));
        of_agent.push(Subscriber {
            id,
            events: sender,
            has_lagged: Arc::clone(&has_lagged),
        });
        Some(WorkSubscription {
            agent_id,
            id,
            events,
            has_lagged,
            bus: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        // No code panics with the lock held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkSubscription {
    /// Waits for the next change.
    ///
    /// # Errors
    /// The subscription lagged too far behind and missed events.
    pub async fn next(&mut self) -> Result<WorkEvent, MissedEvents> {
        self.require_all()?;
        // The bus drops the sender only of a subscription that lags.
        self.events.recv().await.ok_or(MissedEvents)
    }

    /// Returns the next change, if one has arrived.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<WorkEvent>, MissedEvents> {
        self.require_all()?;
        Ok(self.events.try_recv().ok())
    }

    fn require_all(&self) -> Result<(), MissedEvents> {
        if self.has_lagged.load(Ordering::Acquire) {
            return Err(MissedEvents);
        }
        Ok(())
    }
}

impl Drop for WorkSubscription {
    fn drop(&mut self) {
        let mut subscribers = self.bus.lock();
        let Some(of_agent) = subscribers.agents.get_mut(&self.agent_id) else {
            return;
        };
        of_agent.retain(|subscriber| subscriber.id != self.id);
        if of_agent.is_empty() {
            subscribers.agents.remove(&self.agent_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;
    use crate::domain::time::Timestamp;

    fn event(agent_id: AgentId, number: i64) -> WorkEvent {
        WorkEvent {
            agent_id,
            position: WaitingPosition {
                message_at: Timestamp(number),
                session_id: SessionId::from(1),
            },
            change: WorkChange::Waits,
        }
    }

    #[tokio::test]
    async fn a_subscription_receives_the_events_of_its_agent_and_leaves_nothing_behind() {
        let bus = WorkBus::default();
        let [one, other] = [1, 2].map(AgentId::from);
        let mut subscription = bus.subscribe(one).unwrap();
        bus.publish(event(other, 1));
        bus.publish(event(one, 2));
        assert_eq!(subscription.next().await, Ok(event(one, 2)));
        assert_eq!(subscription.try_next(), Ok(None));
        drop(subscription);
        assert!(bus.lock().agents.is_empty());
    }

    #[tokio::test]
    async fn an_agent_has_sixteen_subscriptions_at_most() {
        let bus = WorkBus::default();
        let agent = AgentId::from(1);
        let mut subscriptions: Vec<_> = (0..MAX_SUBSCRIPTIONS)
            .map(|_| bus.subscribe(agent).unwrap())
            .collect();
        assert!(bus.subscribe(agent).is_none());
        assert!(bus.subscribe(AgentId::from(2)).is_some());
        subscriptions.pop();
        assert!(bus.subscribe(agent).is_some());
    }

    #[tokio::test]
    async fn a_subscription_that_lags_is_closed_and_not_left_with_a_gap() {
        let bus = WorkBus::default();
        let agent = AgentId::from(1);
        let mut slow = bus.subscribe(agent).unwrap();
        let mut fast = bus.subscribe(agent).unwrap();
        for number in 0..=i64::try_from(BACKLOG).unwrap() {
            bus.publish(event(agent, number));
            assert_eq!(fast.next().await, Ok(event(agent, number)));
        }
        assert_eq!(slow.next().await, Err(MissedEvents));
        assert_eq!(slow.try_next(), Err(MissedEvents));
        // Its place is free.
        assert_eq!(bus.lock().agents[&agent].len(), 1);
    }
}
