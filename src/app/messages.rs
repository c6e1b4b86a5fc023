//! Reading messages.

use super::App;
use super::error::AppError;
use super::target::Target;
use crate::domain::session::Session;
use crate::store::reader::{Page, PageRequest};

impl App {
    /// What is made of an active session and a page of its messages, while that is lent.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub fn messages<T>(
        &self,
        target: &Target,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let session = self.session(target)?;
        self.page(&session, request, make)
    }

    /// The same of a session that is active or still kept.
    ///
    /// # Errors
    /// The session is unknown, or the store fails.
    pub fn transcript<T>(
        &self,
        target: &Target,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        let session = self.kept_session(target)?;
        self.page(&session, request, make)
    }

    fn page<T>(
        &self,
        session: &Session,
        request: PageRequest,
        make: impl FnOnce(&Session, &Page<&str>) -> T,
    ) -> Result<T, AppError> {
        Ok(self.store.read(|reader| {
            reader.with_messages(session.id, request, |page| make(session, &page))
        })?)
    }
}
