//! What happened in the sessions, for whoever shows it: not how it is sent.
//!
//! The store's writer publishes what a commit made true, after that commit and in the order of the
//! commits; the turn runner publishes the chunks of a reply that is still coming. So all listeners
//! of a session hear the same things in the same order.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::domain::id::{AgentId, MessageId, SessionId};
use crate::domain::message::{Message, Role, TurnFailure};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// How many events a listener may lag behind before it is given up.
///
/// A listener may be in some hundred rooms, and a turn has a dozen events and more: one turn in
/// each of them at once must fit, however seldom the listener is given the time to take them. An
/// idle listener pays nothing for it, and those that wait for the same event share it.
const BACKLOG: usize = 8192;

/// How many bytes of events a listener may lag behind: a reply of the greatest length in each of
/// some dozen rooms at once.
const BACKLOG_BYTES: usize = 4 * 1024 * 1024;

/// What an event takes beside its texts, in bytes.
const EVENT_BYTES: usize = 256;

/// Something that happened in a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was stored, the user's or the agent's.
    MessageStored {
        /// The session as it is since then.
        session: Arc<Session>,
        /// The message.
        message: Arc<Message>,
        /// Who sent it, where a listener did.
        echo: Option<SentBy>,
    },
    /// The session was renewed.
    Renewed {
        /// The session as it is since then.
        session: Arc<Session>,
    },
    /// The session had no open turn and has one now.
    Busy,
    /// The session has no open turn any more.
    Idle,
    /// A piece of a reply that is still coming.
    ReplyChunk {
        /// The id that the reply will have.
        reply_id: MessageId,
        /// Who replies.
        agent_id: AgentId,
        /// Its place among the reply's pieces, from 0.
        index: u32,
        /// The text.
        text: Arc<str>,
    },
    /// A turn was closed without a reply.
    TurnFailed {
        /// The id that the reply would have had.
        reply_id: MessageId,
        /// Who was to reply.
        agent_id: AgentId,
        /// Why there is none.
        failure: TurnFailure,
        /// What was streamed of it.
        partial: Option<String>,
    },
    /// A turn was closed, with a reply or without.
    TurnEnded,
    /// The time left fell to the session's warning threshold.
    NearExpiration {
        /// The session.
        session: Arc<Session>,
        /// The time left, in the rules' minutes, rounded up.
        minutes_remaining: i64,
    },
    /// The session expired.
    Expired {
        /// When.
        expired_at: Timestamp,
        /// Whether turns are still running, after which [`Event::Idle`] comes.
        has_turns: bool,
    },
    /// The session was deleted.
    Deleted,
}

/// Which listener sent a message, and what it called it. Nobody else is told the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentBy {
    /// The listener.
    pub listener: ListenerId,
    /// Its own name for the message.
    pub client_message_id: String,
}

/// Tells one listener from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerId(u64);

/// An event and the session that it happened in.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    /// Where.
    pub session_id: SessionId,
    /// What.
    pub event: Event,
}

impl SessionEvent {
    /// An event of a session.
    #[must_use]
    pub fn new(session_id: SessionId, event: Event) -> Self {
        Self { session_id, event }
    }
}

/// Carries events from where they happen to the listeners of their session.
#[derive(Debug, Clone, Default)]
pub struct EventBus {
    rooms: Arc<Mutex<HashMap<SessionId, Vec<Subscription>>>>,
    next_id: Arc<AtomicU64>,
}

/// A listener's place in a room.
#[derive(Debug, Clone)]
struct Subscription {
    listener: ListenerId,
    events: mpsc::Sender<Arc<SessionEvent>>,
    /// How many bytes of events it has not taken yet.
    waiting: Arc<AtomicUsize>,
    has_lagged: Arc<AtomicBool>,
}

/// A listener's end: what happens in the sessions that it has joined.
#[derive(Debug)]
pub struct Listener {
    seat: Subscription,
    sessions: HashSet<SessionId>,
    events: mpsc::Receiver<Arc<SessionEvent>>,
    bus: EventBus,
}

/// A listener lagged so far behind that it was given up: it missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lagged;

impl EventBus {
    /// Tells the session's listeners, of which there may be none.
    pub fn publish(&self, happening: SessionEvent) {
        if let Some(room) = self.rooms().get_mut(&happening.session_id) {
            tell(room, happening);
        }
    }

    /// Tells the session's listeners several things, which are not made where there are none.
    pub fn publish_all(&self, session: SessionId, events: impl Iterator<Item = Event>) {
        if let Some(room) = self.rooms().get_mut(&session) {
            for event in events {
                tell(room, SessionEvent::new(session, event));
            }
        }
    }

    /// Whether anybody listens to a session.
    #[must_use]
    pub fn is_heard(&self, session: SessionId) -> bool {
        self.rooms().contains_key(&session)
    }

    /// A listener that has joined no session yet.
    #[must_use]
    pub fn listener(&self) -> Listener {
        let (sender, events) = mpsc::channel(BACKLOG);
        let seat = Subscription {
            listener: ListenerId(self.next_id.fetch_add(1, Ordering::Relaxed)),
            events: sender,
            waiting: Arc::default(),
            has_lagged: Arc::default(),
        };
        Listener {
            seat,
            sessions: HashSet::new(),
            events,
            bus: self.clone(),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Subscription>>> {
        // No code panics with the lock held, and the map is whole between any two statements.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the listeners of a room, all but those who lag too far behind.
fn tell(room: &mut Vec<Subscription>, happening: SessionEvent) {
    let happening = Arc::new(happening);
    let bytes = happening.event.bytes();
    room.retain(|seat| {
        let is_told = seat.tell(&happening, bytes);
        if !is_told {
            seat.has_lagged.store(true, Ordering::Release);
        }
        is_told
    });
}

impl Subscription {
    /// Whether there was room for the event.
    fn tell(&self, happening: &Arc<SessionEvent>, bytes: usize) -> bool {
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let fits = waiting.saturating_add(bytes) <= BACKLOG_BYTES;
        let is_told = fits && self.events.try_send(Arc::clone(happening)).is_ok();
        if !is_told {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_told
    }
}

impl Event {
    /// About how many bytes it takes in memory.
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
            Self::ReplyChunk { text, .. } => text.len(),
            Self::TurnFailed {
                failure, partial, ..
            } => failure.message.len() + length(partial),
            Self::Renewed { .. }
            | Self::Busy
            | Self::Idle
            | Self::TurnEnded
            | Self::NearExpiration { .. }
            | Self::Expired { .. }
            | Self::Deleted => 0,
        };
        EVENT_BYTES + texts
    }
}

impl Listener {
    /// What tells this listener from others.
    #[must_use]
    pub fn id(&self) -> ListenerId {
        self.seat.listener
    }

    /// How many sessions it has joined.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether it has joined a session.
    #[must_use]
    pub fn has_joined(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    /// Listens to a session from now on.
    pub fn join(&mut self, session: SessionId) {
        if self.sessions.insert(session) {
            self.bus
                .rooms()
                .entry(session)
                .or_default()
                .push(self.seat.clone());
        }
    }

    /// Listens to a session no more. What was already told of it may still come.
    pub fn leave(&mut self, session: SessionId) {
        if self.sessions.remove(&session) {
            self.vacate(&mut self.bus.rooms(), session);
        }
    }

    /// The next event of any of its sessions.
    ///
    /// # Errors
    /// It has lagged too far behind to be told all.
    pub async fn next(&mut self) -> Result<Arc<SessionEvent>, Lagged> {
        if self.seat.has_lagged.load(Ordering::Acquire) {
            return Err(Lagged);
        }
        // The listener holds a sender itself, so the channel is never closed.
        let happening = self.events.recv().await.ok_or(Lagged)?;
        let bytes = happening.event.bytes();
        self.seat.waiting.fetch_sub(bytes, Ordering::Relaxed);
        Ok(happening)
    }

    fn vacate(&self, rooms: &mut HashMap<SessionId, Vec<Subscription>>, session: SessionId) {
        let Some(room) = rooms.get_mut(&session) else {
            return;
        };
        room.retain(|seat| seat.listener != self.seat.listener);
        if room.is_empty() {
            rooms.remove(&session);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut rooms = self.bus.rooms();
        for session in &self.sessions {
            self.vacate(&mut rooms, *session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_hears_its_own_sessions_and_leaves_nothing_behind() {
        let bus = EventBus::default();
        let [one, two, other] = [1, 2, 3].map(SessionId::from);
        let mut listener = bus.listener();
        listener.join(one);
        listener.join(one);
        listener.join(two);
        bus.publish(SessionEvent::new(other, Event::Busy));
        bus.publish(SessionEvent::new(one, Event::Busy));
        bus.publish(SessionEvent::new(two, Event::Deleted));
        let heard = [
            listener.next().await.unwrap(),
            listener.next().await.unwrap(),
        ];
        assert_eq!(heard.map(|happening| happening.session_id), [one, two]);
        listener.leave(one);
        bus.publish(SessionEvent::new(one, Event::Busy));
        assert!(listener.events.is_empty());
        drop(listener);
        assert!(bus.rooms().is_empty());
    }

    #[tokio::test]
    async fn a_listener_that_lags_too_far_behind_is_told_so_and_not_left_with_a_gap() {
        let bus = EventBus::default();
        let session = SessionId::from(1);
        let mut listener = bus.listener();
        listener.join(session);
        for _ in 0..=BACKLOG {
            bus.publish(SessionEvent::new(session, Event::Busy));
        }
        assert_eq!(listener.next().await.unwrap_err(), Lagged);
    }

    #[tokio::test]
    async fn a_listener_lags_too_far_behind_by_bytes_too() {
        let bus = EventBus::default();
        let session = SessionId::from(1);
        let chunk = || Event::ReplyChunk {
            reply_id: MessageId::from(1),
            agent_id: AgentId::from(1),
            index: 0,
            text: "x".repeat(60_000).into(),
        };
        let mut listener = bus.listener();
        listener.join(session);
        let fit = BACKLOG_BYTES / (60_000 + EVENT_BYTES);
        // What is taken makes room again.
        for _ in 0..3 {
            for _ in 0..fit {
                bus.publish(SessionEvent::new(session, chunk()));
            }
            for _ in 0..fit {
                assert!(listener.next().await.is_ok());
            }
        }
        for _ in 0..=fit {
            bus.publish(SessionEvent::new(session, chunk()));
        }
        assert_eq!(listener.next().await.unwrap_err(), Lagged);
    }
}
