//! Cancelling turns.

use std::sync::Arc;

use super::application::App;
use super::error::AppError;
use super::session_ref::SessionRef;
use crate::agents::reply_info::ReplyInfo;
use crate::agents::turns::reply_feed::{Ending, StreamedText};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::TurnFailure;
use crate::store::command::{CancelTurns, CancelledTurn, PartialReply};
use crate::store::error::SubmitError;

/// A request to cancel turns.
#[derive(Debug, Clone, Copy)]
pub struct Cancellation {
    /// The user's message; `None` for all whose turns are open.
    pub message_id: Option<MessageId>,
    /// Whether the text that was sent before becomes the reply.
    pub keep_partial: bool,
}

impl App {
    /// Closes open turns of an active session and stops their backends, even if the caller
    /// disconnects. Returns the user's messages whose turns this call has closed, oldest first.
    ///
    /// # Errors
    /// The session is unknown or expired, or the store fails.
    pub async fn cancel(
        self: &Arc<Self>,
        target: &SessionRef,
        cancellation: Cancellation,
    ) -> Result<Vec<MessageId>, AppError> {
        let session = self.session(target).await?.id;
        let app = Arc::clone(self);
        let cancelling = async move { Ok(app.cancel_turns(session, cancellation).await?) };
        let cancelled = self.run_detached(cancelling).await?;
        Ok(cancelled.into_iter().map(|turn| turn.message_id).collect())
    }

    async fn cancel_turns(
        self: &Arc<Self>,
        session: SessionId,
        cancellation: Cancellation,
    ) -> Result<Vec<CancelledTurn>, SubmitError> {
        // Until the turns are closed, their backend publishes nothing more, so the text that is
        // stored is exactly what was sent.
        let pause = self.runner.pause_output(session).await;
        let streamed = self.feeds.streamed(session);
        let command = CancelTurns {
            session_id: session,
            message_id: cancellation.message_id,
            partial: streamed.map(|streamed| {
                let info = pause.reply_info(streamed.message_id);
                partial_reply(streamed, info, cancellation.keep_partial)
            }),
        };
        let cancelled = self.store.submit(command).await;
        match &cancelled {
            Ok(cancelled) => {
                for turn in cancelled {
                    self.feeds.end(session, turn.message_id, ending(turn));
                }
                let messages: Vec<_> = cancelled.iter().map(|turn| turn.message_id).collect();
                pause.release(&messages);
            }
            Err(error) => {
                pause.release(&[]);
                self.resolve_unknown(session, error);
            }
        }
        cancelled
    }
}

fn partial_reply(streamed: StreamedText, info: ReplyInfo, keep: bool) -> PartialReply {
    let is_stored = keep && !streamed.text.trim().is_empty();
    PartialReply {
        message_id: streamed.message_id,
        reply: is_stored.then(|| info.interrupted(streamed.text.clone())),
        text: streamed.text,
    }
}

fn ending(turn: &CancelledTurn) -> Ending {
    match &turn.reply {
        Some(reply) => Ending::Replied(Arc::clone(reply)),
        None => Ending::Failed(TurnFailure::cancelled()),
    }
}
