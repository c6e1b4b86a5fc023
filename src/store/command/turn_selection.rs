//! Which turns a submission closes.

use crate::domain::error::RuleViolation;
use crate::domain::id::{MessageId, SessionId, TurnId};
use crate::domain::message::{Message, Role};
use crate::domain::turn::OpenTurn;
use crate::domain::waiting::TurnSelector;
use crate::store::error::CommandResult;
use crate::store::schema::record::SubmitClaim;
use crate::store::write::txn::Txn;

/// A turn to close, with its message.
pub(super) struct SelectedTurn {
    pub(super) turn: OpenTurn,
    pub(super) message: Message,
    /// The id of its future reply.
    pub(super) reply_id: MessageId,
}

/// Returns the selected ones of a session's open turns, the newest message last.
pub(super) fn select(
    txn: &Txn<'_>,
    turns: &[OpenTurn],
    selector: TurnSelector,
) -> CommandResult<Vec<SelectedTurn>> {
    select_by(txn, turns, |turn, turn_id, message_id| match selector {
        TurnSelector::Turn(id) => turn_id == id,
        TurnSelector::Message(id) => turn.begun && message_id == id,
        TurnSelector::Waiting => turn.begun && turn.waits_until.is_some(),
    })
}

/// Returns the open turn of a message, or all open turns, the newest message last.
pub(super) fn open(
    txn: &Txn<'_>,
    turns: &[OpenTurn],
    message: Option<MessageId>,
) -> CommandResult<Vec<SelectedTurn>> {
    select_by(txn, turns, |_, _, id| message.is_none_or(|it| it == id))
}

/// Returns the turns that `is_selected` accepts by their own id and that of their message.
fn select_by(
    txn: &Txn<'_>,
    turns: &[OpenTurn],
    is_selected: impl Fn(&OpenTurn, TurnId, MessageId) -> bool,
) -> CommandResult<Vec<SelectedTurn>> {
    let mut selected = Vec::new();
    for turn in turns {
        let Some(message) = txn.undamaged_message(turn.session_id, turn.message_at)? else {
            continue;
        };
        let Role::User {
            turn_id, reply_id, ..
        } = message.role
        else {
            continue;
        };
        if is_selected(turn, turn_id, message.id) {
            selected.push(SelectedTurn {
                turn: turn.clone(),
                message,
                reply_id,
            });
        }
    }
    // A reopened turn runs after those of later messages.
    selected.sort_by_key(|selected| selected.message.created_at);
    Ok(selected)
}

/// Whether the error of a key closed a turn that a repeat of its message has reopened. A worker
/// whose key is the turn's id submits under that key once more.
pub(super) fn is_reopened(
    claim: &SubmitClaim,
    selector: TurnSelector,
    selected: &[SelectedTurn],
) -> bool {
    let is_error = matches!(claim, SubmitClaim::Error(..));
    is_error && matches!(selector, TurnSelector::Turn(_)) && !selected.is_empty()
}

/// Returns the error of a submission that closes no turn.
pub(super) fn refusal(
    txn: &Txn<'_>,
    session: SessionId,
    selector: TurnSelector,
) -> CommandResult<RuleViolation> {
    if let Some(cancelled) = cancelled(txn, session, selector)? {
        return Ok(cancelled);
    }
    Ok(RuleViolation::TurnClosed {
        turn_id: match selector {
            TurnSelector::Turn(turn_id) => Some(turn_id),
            TurnSelector::Message(_) | TurnSelector::Waiting => None,
        },
        reason: txn.closed_reason(session, selector)?,
    })
}

/// Returns the error of a submission to a message whose turn a client cancelled, if it is one.
pub(super) fn cancelled(
    txn: &Txn<'_>,
    session: SessionId,
    selector: TurnSelector,
) -> CommandResult<Option<RuleViolation>> {
    let TurnSelector::Message(id) = selector else {
        return Ok(None);
    };
    let message = txn.cancelled_message(session, id)?;
    Ok(message.map(|message| RuleViolation::TurnCancelled(Box::new(message))))
}
