//! An agent that runs elsewhere: it reads its turns from the API and submits its replies.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Backend, Piece, ReplySource, ReplyStream, TurnRequest};
use crate::agents::backend_context::BackendContext;
use crate::agents::character::Character;
use crate::agents::settings::SettingsError;
use crate::domain::turn::{ContextNeeds, HistoryNeeds};

/// Its fields in `settings.backend`.
pub(crate) const FIELDS: &[&str] = &["historyMessages"];

/// Waits for submitted replies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct External {
    history: usize,
}

impl External {
    /// Returns the external agent of a character's settings.
    pub(crate) fn from_settings(
        character: &Character,
        _: &BackendContext,
    ) -> Result<Box<dyn Backend>, SettingsError> {
        Ok(Box::new(Self {
            history: character.backend.history(0)?,
        }))
    }
}

impl Backend for External {
    fn kind(&self) -> &'static str {
        "external"
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            history: HistoryNeeds::Messages(self.history),
            remote_session: false,
        }
    }

    fn reply_source(&self) -> ReplySource {
        ReplySource::Submission
    }

    fn reply(&self, _request: Arc<TurnRequest>) -> ReplyStream {
        stream::iter([Ok(Piece::Later)]).boxed()
    }
}
