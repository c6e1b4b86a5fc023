//! An agent that runs elsewhere: it hears of a message by the sockets, and submits its reply.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Answering, Backend, Piece, ReplyStream, TurnRequest};

/// Waits for what is submitted.
#[derive(Debug, Clone, Copy)]
pub(in crate::agents) struct External;

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
