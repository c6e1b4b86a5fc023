//! Cancelling turns.

use std::sync::Arc;

use super::apply::Apply;
use super::turn::{answer, fail};
use super::turn_selection::{self, SelectedTurn};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, TurnFailure};
use crate::domain::session::Session;
use crate::domain::turn::Reply;
use crate::domain::waiting::ClosedReason;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Closes the open turn of a user's message, or all open turns of a session, at a client's request.
#[derive(Debug)]
pub struct CancelTurns {
    /// The session.
    pub session_id: SessionId,
    /// The user's message; `None` for all whose turns are open.
    pub message_id: Option<MessageId>,
    /// What was sent of the running turn's reply, if anything.
    pub partial: Option<PartialReply>,
}

/// The part of a reply that was sent before its turn was cancelled.
#[derive(Debug)]
pub struct PartialReply {
    /// The user's message that it answers.
    pub message_id: MessageId,
    /// The text that was sent.
    pub text: String,
    /// What is stored as the reply. `None` closes the turn without one.
    pub reply: Option<Reply>,
}

/// A turn that was cancelled.
#[derive(Debug)]
pub struct CancelledTurn {
    /// The user's message.
    pub message_id: MessageId,
    /// The partial reply, if it was stored.
    pub reply: Option<Arc<Message>>,
}

impl Apply for CancelTurns {
    /// Oldest message first.
    type Output = Vec<CancelledTurn>;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Vec<CancelledTurn>> {
        let session = txn.retained_session(self.session_id)?;
        session.require_active(txn.now, txn.rules.retention)?;
        let turns = txn.open_turns(session.id)?;
        let mut left = turns.len();
        let mut partial = self.partial;
        let mut cancelled = Vec::new();
        for selected in turn_selection::open(txn, &turns, self.message_id)? {
            let message_id = selected.message.id;
            let sent = partial.take_if(|partial| partial.message_id == message_id);
            left -= 1;
            let turn = selected.turn.clone();
            let reply = cancel(txn, &session, selected, sent)?;
            txn.end_turn(&turn, left == 0, ClosedReason::Cancelled)?;
            cancelled.push(CancelledTurn { message_id, reply });
        }
        Ok(cancelled)
    }
}

/// Stores the partial reply of a turn, or its failure.
fn cancel(
    txn: &mut Txn<'_>,
    session: &Session,
    selected: SelectedTurn,
    sent: Option<PartialReply>,
) -> CommandResult<Option<Arc<Message>>> {
    let SelectedTurn {
        mut message,
        reply_id,
        ..
    } = selected;
    let (text, reply) = sent.map_or((None, None), |sent| (Some(sent.text), sent.reply));
    let Some(reply) = reply else {
        fail(txn, session, &mut message, TurnFailure::cancelled(), text);
        txn.put_message(&message)?;
        return Ok(None);
    };
    let reply = answer(txn, session, &mut message, reply_id, reply)?;
    txn.put_message(&message)?;
    Ok(Some(reply))
}
