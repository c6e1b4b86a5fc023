//! Sessions with the beginning of their newest messages.

use super::application::App;
use super::error::AppError;
use crate::domain::session::Session;
use crate::store::SessionPreview;

/// How many sessions one query reads.
const SLICE: usize = 200;

/// How many characters of a message are shown.
const PREVIEW_CHARS: usize = 120;

impl App {
    /// Returns the present state of sessions, each with the beginning of its newest message.
    /// Sessions that were deleted meanwhile are left out.
    ///
    /// # Errors
    /// The store fails.
    pub async fn session_previews(
        &self,
        sessions: &[Session],
    ) -> Result<Vec<SessionPreview>, AppError> {
        let ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
        let mut previews = Vec::with_capacity(ids.len());
        for slice in ids.chunks(SLICE) {
            previews.extend(self.store.session_previews(slice, PREVIEW_CHARS).await?);
            // Reads do not suspend; other tasks get their turn here.
            tokio::task::yield_now().await;
        }
        Ok(previews)
    }
}
