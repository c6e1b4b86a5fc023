//! References to sessions in requests, and whose sessions a client can reach.

use super::application::App;
use super::error::AppError;
use crate::domain::error::RuleViolation;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::{LifeStage, Session};
use crate::domain::time::Timestamp;

/// The sessions that a client can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All sessions.
    All,
    /// The sessions of one user. All others do not exist for the client.
    User(UserId),
}

/// A session as a request names it.
#[derive(Debug, Clone)]
pub struct SessionRef {
    /// The id as sent, unchecked.
    pub name: String,
    /// The sessions among which it is looked up.
    pub scope: Scope,
}

impl Scope {
    /// Returns the scope of a client: its user's sessions if it is bound to a user, else all.
    #[must_use]
    pub fn for_user(user: Option<UserId>) -> Self {
        user.map_or(Self::All, Self::User)
    }

    /// Returns whether the sessions of a user are within the scope.
    #[must_use]
    pub fn includes(self, user: UserId) -> bool {
        self == Self::All || self == Self::User(user)
    }
}

impl SessionRef {
    fn id(&self) -> Result<SessionId, AppError> {
        SessionId::parse(&self.name).ok_or_else(|| AppError::UnknownSession(self.name.clone()))
    }
}

impl App {
    /// Returns an active session. Reading is not activity.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn session(&self, target: &SessionRef) -> Result<Session, AppError> {
        let now = self.now();
        let session = self.retained_session(now, target).await?;
        session.require_active(now, self.store.rules().retention)?;
        Ok(session)
    }

    /// Returns a session that is active, or expired and still retained.
    pub(super) async fn retained_session(
        &self,
        now: Timestamp,
        target: &SessionRef,
    ) -> Result<Session, AppError> {
        let id = target.id()?;
        let retention = self.store.rules().retention;
        let found = self.store.session(id).await?.filter(|session| {
            session.life_stage(now, retention) != LifeStage::Gone
                && target.scope.includes(session.user_id)
        });
        found.ok_or_else(|| RuleViolation::SessionNotFound(id).into())
    }

    /// Returns the id of a session that a command will change. A session never changes its user,
    /// so the scope still holds when the command runs, which checks that the session exists.
    pub(super) async fn reachable_id(&self, target: &SessionRef) -> Result<SessionId, AppError> {
        match target.scope {
            Scope::All => target.id(),
            Scope::User(_) => Ok(self.retained_session(self.now(), target).await?.id),
        }
    }
}
