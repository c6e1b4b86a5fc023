//! Reading messages.

use super::App;
use super::error::AppError;
use super::target::Target;
use crate::domain::session::Session;
use crate::store::{Page, PageRequest};

impl App {
    /// What is made of an active session and a page of its messages, while that is lent.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn messages<T>(
        &self,
        target: &Target,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let session = self.session(target).await?;
        self.page(&session, request, make).await
    }

    /// The same of a session that is active or still kept.
    ///
    /// # Errors
    /// The session is unknown, or the store fails.
    pub async fn transcript<T>(
        &self,
        target: &Target,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let session = self.kept_session(target).await?;
        self.page(&session, request, make).await
    }

    async fn page<T>(
        &self,
        session: &Session,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let make = |page: Page<&str>| make(session, &page);
        Ok(self
            .store
            .with_message_page(session.id, request, make)
            .await?)
    }
}
