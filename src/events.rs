//! What happened in the sessions, for whoever shows it: not how it is sent.
//!
//! The store's writer publishes what a commit made true, after that commit and in the order of the
//! commits; the turn runner publishes the chunks of a reply that is still coming. So all listeners
//! of a session hear the same things in the same order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// How many events a listener may lag behind before it is told that it missed some.
const BACKLOG: usize = 1024;

/// Something that happened in a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message was stored, the user's or the agent's.
    MessageStored {
        /// The session as it is since then.
        session: Arc<Session>,
        /// The message.
        message: Arc<Message>,
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
        /// Its place among the reply's pieces, from 0.
        index: u32,
        /// The text.
        text: Arc<str>,
    },
    /// A turn was closed without a reply.
    TurnFailed {
        /// The id that the reply would have had.
        reply_id: MessageId,
        /// Why.
        failure: TurnFailure,
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
    },
    /// The session was deleted.
    Deleted,
}

/// An event and the session that it happened in.
#[derive(Debug, Clone)]
pub struct Happening {
    /// Where.
    pub session_id: SessionId,
    /// What.
    pub event: Event,
}

impl Happening {
    /// An event of a session.
    #[must_use]
    pub fn new(session_id: SessionId, event: Event) -> Self {
        Self { session_id, event }
    }
}

/// Carries events from where they happen to the listeners of their session.
#[derive(Debug, Clone, Default)]
pub struct EventBus {
    rooms: Arc<Mutex<HashMap<SessionId, broadcast::Sender<Event>>>>,
}

/// A listener's end: what happens in one session from now on.
#[derive(Debug)]
pub struct Listener {
    session_id: SessionId,
    events: Option<broadcast::Receiver<Event>>,
    bus: EventBus,
}

impl EventBus {
    /// Tells the session's listeners, of which there may be none.
    pub fn publish(&self, happening: Happening) {
        if let Some(room) = self.rooms().get(&happening.session_id) {
            // An error says that the last listener has just gone.
            let _ = room.send(happening.event);
        }
    }

    /// Listens to a session from now on.
    #[must_use]
    pub fn listen(&self, session_id: SessionId) -> Listener {
        let mut rooms = self.rooms();
        let room = rooms
            .entry(session_id)
            .or_insert_with(|| broadcast::channel(BACKLOG).0);
        Listener {
            session_id,
            events: Some(room.subscribe()),
            bus: self.clone(),
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<SessionId, broadcast::Sender<Event>>> {
        // No code panics with the lock held, and the map is whole between any two statements.
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// The next event; none once the listener has lagged too far behind to be told all.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.as_mut()?.recv().await.ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut rooms = self.bus.rooms();
        self.events = None;
        if rooms
            .get(&self.session_id)
            .is_some_and(|room| room.receiver_count() == 0)
        {
            rooms.remove(&self.session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_hears_its_own_session_and_leaves_nothing_behind() {
        let bus = EventBus::default();
        let (mine, other) = (SessionId::from(1), SessionId::from(2));
        let mut listener = bus.listen(mine);
        bus.publish(Happening::new(other, Event::Busy));
        bus.publish(Happening::new(mine, Event::Deleted));
        assert!(matches!(listener.next().await, Some(Event::Deleted)));
        drop(listener);
        assert!(bus.rooms().is_empty());
    }
}
