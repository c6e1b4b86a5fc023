//! The rule engine as a backend.

use std::sync::Arc;

use futures_util::future;
use futures_util::stream::{self, StreamExt as _};

use crate::agents::backend::{Backend, Piece, ReplyStream, TurnRequest};
use crate::domain::turn::{Reply, WantedHistory, Wants};

/// How many earlier turns are replayed: enough that it does not repeat itself soon, and few, since
/// each costs as much as the answer.
const HISTORY: usize = 16;

/// The rule engine in the binary.
#[derive(Debug, Clone, Copy)]
pub(in crate::agents) struct Eliza;

impl Backend for Eliza {
    fn kind(&self) -> &'static str {
        "eliza"
    }

    fn wants(&self) -> Wants {
        Wants {
            // It says the same to the same, so it need not be told what it said.
            history: WantedHistory::Statements(HISTORY),
            upstream: false,
        }
    }

    /// It answers at once, so its turns wait for nothing but the writer, which carries out as many
    /// as it can in one go.
    fn concurrency(&self) -> usize {
        1024
    }

    fn reply(&self, request: Arc<TurnRequest>) -> ReplyStream {
        let earlier: Vec<&str> = request
            .history
            .statements()
            .iter()
            .map(String::as_str)
            .collect();
        let text = super::respond(&earlier, &request.message.body.content);
        let mut end = 0;
        let ends = super::chunks(&text).map(|chunk| {
            end += chunk.len();
            end
        });
        let ends = ends.collect();
        let reply = Piece::Done(Reply::text(text), ends);
        stream::once(future::ready(Ok(reply))).boxed()
    }
}
