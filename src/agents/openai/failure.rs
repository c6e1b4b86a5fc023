//! How a model's server says that it failed.

use crate::agents::backend::BackendError;
use crate::agents::scrub::Scrub;
use crate::agents::upstream::{self, Refusal, Repeat};

/// Why a model gave no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// Its server refused the request.
    Refused(Refusal),
    /// The answer, or an event of it, says that it failed.
    Told(String),
    /// Anything else.
    Other(BackendError),
}

impl Failure {
    /// The failure for the log.
    pub(super) fn into_error(self, scrub: &Scrub) -> BackendError {
        match self {
            Self::Refused(refusal) => refusal.into_error(scrub, Repeat::Harmless),
            Self::Told(told) => upstream::told(&told, scrub),
            Self::Other(error) => error,
        }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Other(error)
    }
}
