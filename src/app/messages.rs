//! Reading messages.

use super::App;
use super::error::AppError;
use super::target::Target;
use crate::domain::session::Session;
use crate::store::reader::{Page, PageRequest};

/// A page of a session's messages, and the session.
#[derive(Debug)]
pub struct Transcript {
    /// The session.
    pub session: Session,
    /// Its messages.
    pub page: Page,
}

impl App {
    /// A page of an active session's messages.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub fn messages(&self, target: &Target, request: PageRequest) -> Result<Transcript, AppError> {
        let session = self.session(target)?;
        self.page(session, request)
    }

    /// A page of the messages of a session that is active or still kept.
    ///
    /// # Errors
    /// The session is unknown, or the store fails.
    pub fn transcript(
        &self,
        target: &Target,
        request: PageRequest,
    ) -> Result<Transcript, AppError> {
        let session = self.kept_session(target)?;
        self.page(session, request)
    }

    fn page(&self, session: Session, request: PageRequest) -> Result<Transcript, AppError> {
        let page = self
            .store
            .read(|reader| reader.messages(session.id, request))?;
        Ok(Transcript { session, page })
    }
}
