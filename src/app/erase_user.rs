//! Erasing everything of a user.

use std::sync::Arc;

use super::application::App;
use super::error::AppError;
use super::session_ref::Scope;
use crate::domain::id::UserId;
use crate::store::command::EraseUser;

impl App {
    /// Erases all sessions of a user, active and retained, with their messages and keys, and stops
    /// their turns, even if the caller disconnects. Returns how many there were.
    ///
    /// # Errors
    /// The user is not within the client's scope, or the store fails. Then some of it may be erased
    /// already; the call can be repeated.
    pub async fn erase_user(self: &Arc<Self>, user: UserId, scope: Scope) -> Result<u64, AppError> {
        if !scope.includes(user) {
            return Err(AppError::Forbidden(
                "userId must be the token's user, which GET /api/auth/me returns",
            ));
        }
        let app = Arc::clone(self);
        self.run_detached(async move {
            let (mut slice, mut deleted, mut is_first) = (EraseUser::new(user), 0, true);
            loop {
                let erased = match app.store.submit(slice).await {
                    Ok(erased) => erased,
                    Err(error) if is_first => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(%error, "a user was erased only in part");
                        return Err(AppError::OutcomeUnknown);
                    }
                };
                app.forget(&erased.sessions);
                app.delete_remotes(erased.remotes);
                deleted += erased.deleted;
                match erased.next {
                    Some(next) => slice = next,
                    None => return Ok(deleted),
                }
                is_first = false;
            }
        })
        .await
    }
}
