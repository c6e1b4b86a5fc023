//! The rule engine as a backend.

use std::sync::Arc;

use futures_util::future;
use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Backend, Piece, ReplyStream, TurnRequest};
use crate::domain::turn::{ContextNeeds, HistoryNeeds, Reply};

/// How many earlier statements are replayed: enough to avoid repetitions, and few, since each costs
/// as much as the answer.
const HISTORY: usize = 16;

/// The rule engine in the binary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Eliza;

impl Backend for Eliza {
    fn kind(&self) -> &'static str {
        "eliza"
    }

    fn context_needs(&self) -> ContextNeeds {
        ContextNeeds {
            // Its own replies follow from the statements.
            history: HistoryNeeds::Statements(HISTORY),
            remote_session: false,
        }
    }

    /// Replies are immediate: only the store's writer limits them, which commits many turns at
    /// once.
    fn concurrency(&self) -> usize {
        1024
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let earlier = request.history.statements().iter();
        let earlier: Vec<&str> = earlier.map(String::as_str).collect();
        let text = super::respond(&earlier, &request.message.body.content);
        // Each chunk is a word with the blank after it.
        let ends = text.match_indices(' ').map(|(at, _)| at + 1).collect();
        let reply = Piece::Done(Reply::text(text), ends);
        stream::once(future::ready(Ok(reply))).boxed()
    }
}
