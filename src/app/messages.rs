//! Reading messages.

use super::application::App;
use super::error::AppError;
use super::session_ref::SessionRef;
use crate::domain::session::Session;
use crate::store::{Page, PageRequest};

impl App {
    /// Passes an active session and a page of its messages to `make`, and returns its result. The
    /// page borrows from the database.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn messages<T>(
        &self,
        target: &SessionRef,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        self.page(self.session(target).await?, request, make).await
    }

    /// Does the same for a session that is active, or expired and still retained.
    ///
    /// # Errors
    /// The session is unknown, or the store fails.
    pub async fn transcript<T>(
        &self,
        target: &SessionRef,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let session = self.retained_session(self.now(), target).await?;
        self.page(session, request, make).await
    }

    async fn page<T>(
        &self,
        session: Session,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let make = |page: Page<&str>| make(&session, &page);
        let page = self.store.with_message_page(session.id, request, make);
        Ok(page.await?)
    }
}
