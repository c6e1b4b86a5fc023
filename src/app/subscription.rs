//! Following what happens in sessions, whatever it is shown by.

use std::collections::HashSet;
use std::sync::Arc;

use super::App;
use super::error::AppError;
use super::target::Target;
use crate::domain::error::Refusal;
use crate::domain::id::SessionId;
use crate::domain::message::Message;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::events::{Event, Lagged, Listener, ListenerId, SessionEvent};
use crate::store::PageRequest;

/// How many stored messages are read at once for one who was away.
const REPLAY_SLICE: usize = 100;

/// Follows any number of sessions to their ends.
#[derive(Debug)]
pub struct SessionSubscription {
    app: Arc<App>,
    listener: Listener,
    /// Expired sessions whose last turns are still running.
    ending: HashSet<SessionId>,
}

/// What one who joins a session has to know.
#[derive(Debug)]
pub struct SessionState {
    /// The session.
    pub session: Session,
    /// Whether no turn is open.
    pub is_idle: bool,
    /// The time of its newest message; none where there is none.
    pub newest: Option<Timestamp>,
}

/// Something that happened in a followed session.
#[derive(Debug)]
pub struct Followed {
    /// What happened.
    pub happening: Arc<SessionEvent>,
    /// Whether it is the last that happens in its session, which is no longer followed.
    pub is_last: bool,
}

impl SessionSubscription {
    /// Follows nothing yet.
    #[must_use]
    pub fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            listener: app.events.listener(),
            ending: HashSet::new(),
        }
    }

    /// What tells this follower from others.
    #[must_use]
    pub fn id(&self) -> ListenerId {
        self.listener.id()
    }

    /// How many sessions it follows.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.listener.session_count()
    }

    /// Whether it follows a session.
    #[must_use]
    pub fn follows(&self, session: SessionId) -> bool {
        self.listener.has_joined(session)
    }

    /// Follows an active session from now on.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub async fn join(&mut self, target: &Target) -> Result<Session, AppError> {
        let session = self.app.session(target).await?;
        // Listening begins before the state is read, so that nothing falls between the two.
        self.listener.join(session.id);
        let joined = self.app.session(target).await;
        if joined.is_err() {
            self.leave(session.id);
        }
        joined
    }

    /// Follows a session no more.
    pub fn leave(&mut self, session: SessionId) {
        self.listener.leave(session);
        self.ending.remove(&session);
    }

    /// How a session stands.
    ///
    /// # Errors
    /// It is unknown or expired, or the store fails.
    pub async fn state(&self, session: SessionId) -> Result<SessionState, AppError> {
        let stored = self.app.store.session_state(session).await?;
        let stored = stored.ok_or(Refusal::SessionNotFound(session))?;
        let (now, kept) = (self.app.now(), self.app.store.rules().kept);
        stored.session.require_active(now, kept)?;
        Ok(SessionState {
            session: stored.session,
            is_idle: !stored.has_open_turns,
            newest: stored.newest,
        })
    }

    /// The next stored messages after a time, oldest first; none where there are no more.
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

    /// What happens next.
    ///
    /// # Errors
    /// The follower lagged too far behind to be told all.
    pub async fn next(&mut self) -> Result<Followed, Lagged> {
        loop {
            let happening = self.listener.next().await?;
            let session = happening.session_id;
            if !self.follows(session) {
                continue;
            }
            let is_last = match happening.event {
                Event::Deleted => true,
                Event::Expired { has_turns, .. } => !has_turns,
                Event::Idle => self.ending.contains(&session),
                _ => false,
            };
            if is_last {
                self.leave(session);
            } else if matches!(happening.event, Event::Expired { .. }) {
                self.ending.insert(session);
            }
            return Ok(Followed { happening, is_last });
        }
    }
}
