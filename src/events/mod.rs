//! Events of sessions, independent of how they are sent to clients.
//!
//! The store's writer publishes what a commit changed, after the commit and in commit order; the
//! turn runner publishes the chunks of a reply as they arrive. All subscribers of a session receive
//! the same events in the same order.

mod drops;
pub mod work;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

pub use self::drops::DropCounter;
use self::work::WorkBus;
use crate::domain::activity::Activity;
use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnFailure};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// How many events may wait for a subscriber before it counts as lagged.
///
/// A subscriber may be in some hundred sessions, and a turn has a dozen events and more: one turn
/// in each of them at once must fit. An idle subscriber uses no memory for it, and subscribers share
/// the events that wait for them.
const BACKLOG: usize = 8192;

/// How many bytes of events may wait for a subscriber: a reply of the greatest length in each of
/// some dozen sessions at once.
const BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// The memory of an event without its texts, in bytes.
const EVENT_BYTES: usize = 256;

/// An event of a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message of the user or the agent was stored.
    MessageStored {
        /// The session after that.
        session: Arc<Session>,
        /// The message.
        message: Arc<Message>,
        /// The subscriber that sent it, if one did.
        sent_by: Option<SentBy>,
    },
    /// The session was renewed.
    Renewed {
        /// The session after that.
        session: Arc<Session>,
    },
    /// The session's metadata changed.
    Updated {
        /// The session after that.
        session: Arc<Session>,
    },
    /// The first turn was opened.
    Busy,
    /// The last open turn was closed.
    Idle,
    /// A chunk of an unfinished reply arrived.
    ReplyChunk {
        /// The id that the reply will have.
        reply_id: MessageId,
        /// The agent.
        agent_id: AgentId,
        /// The index of the chunk within the reply, from 0.
        index: u32,
        /// The text.
        text: Arc<str>,
    },
    /// The agent of a running turn does something before or between the words of its reply.
    Activity {
        /// The id that the reply will have.
        reply_id: MessageId,
        /// The agent.
        agent_id: AgentId,
        /// What it does.
        activity: Arc<Activity>,
    },
    /// A turn was closed without a reply.
    TurnFailed {
        /// The id that the reply would have had.
        reply_id: MessageId,
        /// The agent.
        agent_id: AgentId,
        /// Why there is no reply.
        failure: TurnFailure,
        /// The text that was streamed before.
        partial: Option<String>,
    },
    /// A turn was closed, with a reply or without.
    TurnEnded,
    /// The time left fell to the session's warning threshold.
    NearExpiration {
        /// The session.
        session: Arc<Session>,
        /// The time left, in minutes of the time scale, rounded up.
        minutes_remaining: i64,
    },
    /// The session expired.
    Expired {
        /// When.
        expired_at: Timestamp,
        /// Whether turns are still running; [`Event::Idle`] follows when they have ended.
        has_turns: bool,
    },
    /// The session was deleted.
    Deleted,
}

/// The subscriber that sent a message, and the client's own id of it, which no other client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBy {
    /// The subscriber.
    pub subscriber: SubscriberId,
    /// The client's id of the message.
    pub client_message_id: String,
}

/// The id of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriberId(u64);

/// An event with its session.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    /// The session.
    pub session_id: SessionId,
    /// The event.
    pub event: Event,
}

impl SessionEvent {
    /// Creates an event of a session.
    #[must_use]
    pub fn new(session_id: SessionId, event: Event) -> Self {
        Self { session_id, event }
    }
}

/// Delivers events to the subscribers of their session. Clones share the subscribers.
#[derive(Debug, Clone, Default)]
pub struct EventBus {
    subscriptions: Arc<Mutex<Subscriptions>>,
    next_id: Arc<AtomicU64>,
    work: WorkBus,
    activity_drops: DropCounter,
}

type Subscriptions = HashMap<SessionId, Vec<Arc<Subscription>>>;

/// The bus's end of a subscriber's queue.
#[derive(Debug)]
struct Subscription {
    subscriber: SubscriberId,
    events: mpsc::Sender<Arc<SessionEvent>>,
    waiting_bytes: AtomicUsize,
    has_lagged: AtomicBool,
    activity_drops: DropCounter,
}

/// Receives the events of the sessions that it has joined.
#[derive(Debug)]
pub struct Subscriber {
    subscription: Arc<Subscription>,
    sessions: HashSet<SessionId>,
    events: mpsc::Receiver<Arc<SessionEvent>>,
    bus: EventBus,
}

/// The error of a subscriber that lagged behind and missed events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged;

impl EventBus {
    /// Publishes an event to its session's subscribers.
    pub fn publish(&self, event: SessionEvent) {
        self.publish_all(event.session_id, std::iter::once(event.event));
    }

    /// Publishes several events of a session. They are not created if it has no subscribers.
    pub fn publish_all(&self, session: SessionId, events: impl Iterator<Item = Event>) {
        if let Some(subscriptions) = self.lock().get_mut(&session) {
            for event in events {
                let event = Arc::new(SessionEvent::new(session, event));
                subscriptions.retain(|subscription| subscription.push(&event));
            }
        }
    }

    /// Returns the bus of the turns that wait for a submitted reply.
    #[must_use]
    pub fn work(&self) -> &WorkBus {
        &self.work
    }

    /// Returns the counter of dropped activities.
    #[must_use]
    pub fn activity_drops(&self) -> &DropCounter {
        &self.activity_drops
    }

    /// Returns whether a session has subscribers.
    #[must_use]
    pub fn has_subscribers(&self, session: SessionId) -> bool {
        self.lock().contains_key(&session)
    }

    /// Creates a subscriber that has joined no session yet.
    #[must_use]
    pub fn subscriber(&self) -> Subscriber {
        let (sender, events) = mpsc::channel(BACKLOG);
        Subscriber {
            subscription: Arc::new(Subscription {
                subscriber: SubscriberId(self.next_id.fetch_add(1, Ordering::Relaxed)),
                events: sender,
                waiting_bytes: AtomicUsize::new(0),
                has_lagged: AtomicBool::new(false),
                activity_drops: self.activity_drops.clone(),
            }),
            sessions: HashSet::new(),
            events,
            bus: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscriptions> {
        // No code panics with the lock held, and the map is consistent between any two statements.
        let locked = self.subscriptions.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Queues an event. Returns whether it fits; if not, the subscriber has lagged.
    ///
    /// Nothing is lost without an activity, so a slow subscriber misses it and does not lag
    /// because of it.
    fn push(&self, event: &Arc<SessionEvent>) -> bool {
        let bytes = event.event.bytes();
        if matches!(event.event, Event::Activity { .. }) && self.is_half_full() {
            self.activity_drops.add(1);
            return true;
        }
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= BACKLOG_BYTES
            && self.events.try_send(Arc::clone(event)).is_ok();
        if !fits {
            self.has_lagged.store(true, Ordering::Release);
        }
        fits
    }

    fn is_half_full(&self) -> bool {
        self.waiting_bytes.load(Ordering::Relaxed) > BACKLOG_BYTES / 2
            || self.events.capacity() < BACKLOG / 2
    }
}

impl Event {
    /// Returns about how many bytes of memory the event takes.
    fn bytes(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = match self {
            Self::MessageStored { message, .. } => {
                let body = &message.body;
                let role = match &message.role {
                    Role::User { .. } => 0,
                    Role::Agent {
                        thought, actions, ..
                    } => length(thought) + length(actions),
                };
                body.content.len() + length(&body.metadata) + length(&body.attachments) + role
            }
            Self::Updated { session } => session.metadata.len(),
            Self::ReplyChunk { text, .. } => text.len(),
            Self::Activity { activity, .. } => activity.bytes(),
            Self::TurnFailed {
                failure, partial, ..
            } => failure.message.len() + length(partial),
            // The others have no texts of their own.
            _ => 0,
        };
        EVENT_BYTES + texts
    }
}

impl Subscriber {
    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> SubscriberId {
        self.subscription.subscriber
    }

    /// Returns the joined sessions.
    #[must_use]
    pub fn sessions(&self) -> &HashSet<SessionId> {
        &self.sessions
    }

    /// Subscribes to the events of a session.
    pub fn join(&mut self, session: SessionId) {
        if self.sessions.insert(session) {
            let mut subscriptions = self.bus.lock();
            let of_session = subscriptions.entry(session).or_default();
            of_session.push(Arc::clone(&self.subscription));
        }
    }

    /// Unsubscribes from a session. Events that already wait are still received.
    pub fn leave(&mut self, session: SessionId) {
        if self.sessions.remove(&session) {
            self.unsubscribe(&mut self.bus.lock(), session);
        }
    }

    /// Waits for the next event of the joined sessions.
    ///
    /// # Errors
    /// The subscriber lagged behind and missed events.
    pub async fn next(&mut self) -> Result<Arc<SessionEvent>, Lagged> {
        if self.subscription.has_lagged.load(Ordering::Acquire) {
            return Err(Lagged);
        }
        // The subscription holds a sender, so the channel is never closed.
        let event = self.events.recv().await.ok_or(Lagged)?;
        let bytes = event.event.bytes();
        self.subscription
            .waiting_bytes
            .fetch_sub(bytes, Ordering::Relaxed);
        Ok(event)
    }

    fn unsubscribe(&self, subscriptions: &mut Subscriptions, session: SessionId) {
        let Some(of_session) = subscriptions.get_mut(&session) else {
            return;
        };
        of_session.retain(|it| it.subscriber != self.id());
        if of_session.is_empty() {
            subscriptions.remove(&session);
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let mut subscriptions = self.bus.lock();
        for session in &self.sessions {
            self.unsubscribe(&mut subscriptions, *session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_receives_the_events_of_its_sessions_and_is_removed_when_dropped() {
        let bus = EventBus::default();
        let [one, two, other] = [1, 2, 3].map(SessionId::from);
        let mut subscriber = bus.subscriber();
        subscriber.join(one);
        subscriber.join(one);
        subscriber.join(two);
        bus.publish(SessionEvent::new(other, Event::Busy));
        bus.publish(SessionEvent::new(one, Event::Busy));
        bus.publish(SessionEvent::new(two, Event::Deleted));
        let received = [
            subscriber.next().await.unwrap(),
            subscriber.next().await.unwrap(),
        ];
        assert_eq!(received.map(|event| event.session_id), [one, two]);
        subscriber.leave(one);
        bus.publish(SessionEvent::new(one, Event::Busy));
        assert!(subscriber.events.is_empty());
        drop(subscriber);
        assert!(bus.lock().is_empty());
    }

    #[tokio::test]
    async fn a_subscriber_that_lags_by_events_gets_an_error_instead_of_a_gap() {
        let bus = EventBus::default();
        let session = SessionId::from(1);
        let mut subscriber = bus.subscriber();
        subscriber.join(session);
        for _ in 0..=BACKLOG {
            bus.publish(SessionEvent::new(session, Event::Busy));
        }
        assert_eq!(subscriber.next().await.unwrap_err(), Lagged);
    }

    #[tokio::test]
    async fn a_subscriber_that_lags_by_bytes_gets_an_error() {
        let bus = EventBus::default();
        let session = SessionId::from(1);
        let chunk = || Event::ReplyChunk {
            reply_id: MessageId::from(1),
            agent_id: AgentId::from(1),
            index: 0,
            text: "x".repeat(60_000).into(),
        };
        let mut subscriber = bus.subscriber();
        subscriber.join(session);
        let fit = BACKLOG_BYTES / (60_000 + EVENT_BYTES);
        // Received events no longer count.
        for _ in 0..3 {
            for _ in 0..fit {
                bus.publish(SessionEvent::new(session, chunk()));
            }
            for _ in 0..fit {
                assert!(subscriber.next().await.is_ok());
            }
        }
        for _ in 0..=fit {
            bus.publish(SessionEvent::new(session, chunk()));
        }
        assert_eq!(subscriber.next().await.unwrap_err(), Lagged);
    }

    #[tokio::test]
    async fn a_slow_subscriber_misses_activity_and_nothing_else() {
        let bus = EventBus::default();
        let session = SessionId::from(1);
        let mut subscriber = bus.subscriber();
        subscriber.join(session);
        let activity = || Event::Activity {
            reply_id: MessageId::from(1),
            agent_id: AgentId::from(1),
            activity: Arc::new(Activity::thinking("x".repeat(4_000))),
        };
        // By bytes, and by number.
        for event in [activity, || Event::Busy] {
            for _ in 0..BACKLOG / 2 {
                bus.publish(SessionEvent::new(session, event()));
            }
            let before = bus.activity_drops().get();
            bus.publish(SessionEvent::new(session, Event::Idle));
            bus.publish(SessionEvent::new(session, activity()));
            assert_eq!(bus.activity_drops().get(), before + 1);
            while !matches!(subscriber.next().await.unwrap().event, Event::Idle) {}
        }
        assert!(subscriber.events.is_empty());
        bus.publish(SessionEvent::new(session, activity()));
        let event = subscriber.next().await.unwrap();
        assert!(matches!(event.event, Event::Activity { .. }));
    }
}
