//! An agent that runs elsewhere: it receives messages over sockets and submits its replies.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Answering, Backend, Piece, ReplyStream, TurnRequest};

/// Waits for submitted replies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct External;

impl Backend for External {
    fn kind(&self) -> &'static str {
        "external"
    }

    fn answering(&self) -> Answering {
        Answering::BySubmit
    }

    fn reply(&self, _request: Arc<TurnRequest>) -> ReplyStream {
        stream::iter([Ok(Piece::Later)]).boxed()
    }
}
