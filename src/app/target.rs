//! Which session a call is about, and who calls.

use super::App;
use super::error::AppError;
use crate::domain::error::Refusal;
use crate::domain::id::{SessionId, UserId};
use crate::domain::session::{Session, Standing};
use crate::domain::time::Timestamp;

/// Whose sessions a caller meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// One user's. Those of others do not exist for it.
    Of(UserId),
}

/// A session as a call names it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name, which may be anything.
    pub name: String,
    /// Whose sessions it can be.
    pub scope: Scope,
}

impl Scope {
    /// The scope of a caller who is this user, or nobody in particular.
    #[must_use]
    pub fn of(user: Option<UserId>) -> Self {
        user.map_or(Self::All, Self::Of)
    }

    /// Whether it takes in what is a user's.
    #[must_use]
    pub fn includes(self, user: UserId) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => own == user,
        }
    }
}

impl Target {
    /// The id. What is no id names no session.
    pub(super) fn id(&self) -> Result<SessionId, AppError> {
        SessionId::parse(&self.name).ok_or_else(|| AppError::UnknownSession(self.name.clone()))
    }
}

impl App {
    /// A session that is active or still kept.
    pub(super) async fn kept_session(&self, target: &Target) -> Result<Session, AppError> {
        self.kept_session_at(self.clock.now(), target).await
    }

    /// The same, as it is at a time that was read before.
    pub(super) async fn kept_session_at(
        &self,
        now: Timestamp,
        target: &Target,
    ) -> Result<Session, AppError> {
        let id = target.id()?;
        let kept = self.store.rules().kept;
        match self.store.session(id).await? {
            Some(session)
                if session.standing(now, kept) != Standing::Gone
                    && target.scope.includes(session.user_id) =>
            {
                Ok(session)
            }
            _ => Err(Refusal::SessionNotFound(id).into()),
        }
    }

    /// The id of a session that a command is about to change. A session never changes its user,
    /// so the answer holds when the command is applied; whether the session is still there is for
    /// the command to see.
    pub(super) async fn reachable(&self, target: &Target) -> Result<SessionId, AppError> {
        match target.scope {
            Scope::All => target.id(),
            Scope::Of(_) => Ok(self.kept_session(target).await?.id),
        }
    }
}
