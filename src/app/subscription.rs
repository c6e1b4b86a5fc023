//! Subscriptions to the events of sessions, independent of the transport.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::application::App;
use super::error::AppError;
use super::session_ref::SessionRef;
use crate::domain::error::RuleViolation;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::events::{Event, Lagged, SessionEvent, Subscriber, SubscriberId};
use crate::store::PageRequest;

/// How many stored messages one replay query reads.
const REPLAY_SLICE: usize = 100;

/// A subscription to any number of sessions, until each of them ends.
#[derive(Debug)]
pub struct SessionSubscription {
    app: Arc<App>,
    subscriber: Subscriber,
    /// Expired sessions whose last turns are still running.
    ending: HashSet<SessionId>,
    /// The last chunk in each state that was returned with an unfinished reply.
    last_chunks: HashMap<SessionId, (MessageId, u32)>,
}

/// The state of a session when a client joins it.
#[derive(Debug)]
pub struct SessionState {
    /// The session.
    pub session: Session,
    /// Whether no turn is open.
    pub is_idle: bool,
    /// The time of the newest message, if any.
    pub newest: Option<Timestamp>,
    /// The unfinished reply that is being streamed, if there is one.
    pub partial: Option<ReplyInProgress>,
}

/// An unfinished reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyInProgress {
    /// The id that the reply will have.
    pub reply_id: MessageId,
    /// The text of the chunks that were sent.
    pub text: String,
    /// The index of the last one.
    pub index: u32,
}

/// An event of a subscribed session.
#[derive(Debug)]
pub struct SubscribedEvent {
    /// The event.
    pub event: Arc<SessionEvent>,
    /// Whether it is the session's last event, which ends the subscription to it.
    pub is_last: bool,
}

impl SessionSubscription {
    /// Creates a subscription without sessions.
    #[must_use]
    pub fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            subscriber: app.events.subscriber(),
            ending: HashSet::new(),
            last_chunks: HashMap::new(),
        }
    }

    /// Returns the id of the subscriber.
    #[must_use]
    pub fn id(&self) -> SubscriberId {
        self.subscriber.id()
    }

    /// Returns the subscribed sessions.
    #[must_use]
    pub fn sessions(&self) -> &HashSet<SessionId> {
        self.subscriber.sessions()
    }

    /// Subscribes to an active session.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn join(&mut self, target: &SessionRef) -> Result<Session, AppError> {
        let session = self.app.session(target).await?;
        // Subscribed before the state is read, so that no event between the two is lost.
        self.subscriber.join(session.id);
        let joined = self.app.session(target).await;
        if joined.is_err() {
            self.leave(session.id);
        }
        joined
    }

    /// Unsubscribes from a session.
    pub fn leave(&mut self, session: SessionId) {
        self.subscriber.leave(session);
        self.ending.remove(&session);
        self.last_chunks.remove(&session);
    }

    /// Returns the state of an active session. Chunks that are part of it are not received again.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn state(&mut self, session: SessionId) -> Result<SessionState, AppError> {
        // Read before the store: if the turn is open there, its reply is stored later and will be
        // received as an event.
        let streamed = self.app.feeds.streamed(session);
        let message = streamed.as_ref().map(|streamed| streamed.message_id);
        let stored = self.app.store.session_state(session, message).await?;
        let stored = stored.ok_or(RuleViolation::SessionNotFound(session))?;
        let (now, retention) = (self.app.now(), self.app.store.rules().retention);
        stored.session.require_active(now, retention)?;
        let partial = stored.open_reply.zip(streamed);
        let partial = partial.map(|(reply_id, streamed)| ReplyInProgress {
            reply_id,
            text: streamed.text,
            index: streamed.index,
        });
        if let Some(partial) = &partial {
            let last = (partial.reply_id, partial.index);
            self.last_chunks.insert(session, last);
        }
        Ok(SessionState {
            session: stored.session,
            is_idle: !stored.has_open_turns,
            newest: stored.newest,
            partial,
        })
    }

    /// Returns the next messages stored after a time, oldest first; empty at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stored_after(
        &self,
        session: SessionId,
        after: Timestamp,
    ) -> Result<Vec<Message>, AppError> {
        let request = PageRequest {
            before: None,
            after: Some(after),
            limit: REPLAY_SLICE,
        };
        let page = self.app.store.message_page(session, request).await?;
        Ok(page.messages.into_iter().rev().collect())
    }

    /// Returns whether an event is a chunk that a state has contained.
    fn was_returned(&self, event: &SessionEvent) -> bool {
        let Event::ReplyChunk {
            reply_id, index, ..
        } = &event.event
        else {
            return false;
        };
        let last = self.last_chunks.get(&event.session_id);
        last.is_some_and(|(reply, last)| reply == reply_id && index <= last)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// The subscriber lagged behind and missed events.
    pub async fn next(&mut self) -> Result<SubscribedEvent, Lagged> {
        loop {
            let event = self.subscriber.next().await?;
            let session = event.session_id;
            if !self.sessions().contains(&session) || self.was_returned(&event) {
                continue;
            }
            let is_last = match event.event {
                Event::Deleted => true,
                Event::Expired { has_turns, .. } => !has_turns,
                Event::Idle => self.ending.contains(&session),
                _ => false,
            };
            if is_last {
                self.leave(session);
            } else if matches!(event.event, Event::Expired { .. }) {
                self.ending.insert(session);
            }
            return Ok(SubscribedEvent { event, is_last });
        }
    }
}
