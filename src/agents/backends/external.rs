//! An agent that runs elsewhere: it receives messages over sockets and submits its replies.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Backend, Piece, ReplySource, ReplyStream, TurnRequest};

/// Waits for submitted replies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct External;

impl Backend for External {
    fn kind(&self) -> &'static str {
        "external"
    }

    fn reply_source(&self) -> ReplySource {
        ReplySource::Submission
    }

    fn reply(&self, _request: Arc<TurnRequest>) -> ReplyStream {
        stream::iter([Ok(Piece::Later)]).boxed()
    }
}
