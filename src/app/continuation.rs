//! Finding what a new session is to continue.

use super::application::App;
use super::error::AppError;
use crate::domain::continued::ContinueFrom;
use crate::domain::error::RuleViolation;
use crate::domain::id::{AgentId, UserId};
use crate::domain::time::Timestamp;
use crate::store::MessageTimeSearch;

/// How many messages one query searches.
const SLICE: usize = 500;

impl App {
    /// Returns when the requested last message of a source was stored; none if none was requested.
    /// The store checks the same again when it creates the session.
    ///
    /// # Errors
    /// The source cannot be continued by this user and agent, it does not have the message, or the
    /// store fails.
    pub(super) async fn last_to_copy(
        &self,
        from: &ContinueFrom,
        owner: (UserId, AgentId),
    ) -> Result<Option<Timestamp>, AppError> {
        let id = from.session_id;
        let (now, retention) = (self.now(), self.store.rules().retention);
        let source = self.store.session(id).await?;
        if !source.is_some_and(|source| source.can_be_continued(owner, now, retention)) {
            return Err(RuleViolation::SessionNotFound(id).into());
        }
        let Some(message) = from.up_to else {
            return Ok(None);
        };
        let mut before = Timestamp::MAX;
        loop {
            let found = self.store.search_message(id, message, before, SLICE);
            match found.await? {
                MessageTimeSearch::Found(at) => return Ok(Some(at)),
                MessageTimeSearch::NotFrom(at) => before = at,
                MessageTimeSearch::Missing => {
                    return Err(RuleViolation::MessageNotFound(message).into());
                }
            }
            // Reads run on the async worker itself; other tasks run in between.
            tokio::task::yield_now().await;
        }
    }
}
