//! Which turns a submission closes.

use crate::domain::error::RuleViolation;
use crate::domain::id::{MessageId, SessionId};
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
        let is_selected = match selector {
            TurnSelector::Turn(id) => turn_id == id,
            TurnSelector::Message(id) => turn.begun && message.id == id,
            TurnSelector::Waiting => turn.begun && turn.waits_until.is_some(),
        };
        if is_selected {
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
    Ok(RuleViolation::TurnClosed {
        turn_id: match selector {
            TurnSelector::Turn(turn_id) => Some(turn_id),
            TurnSelector::Message(_) | TurnSelector::Waiting => None,
        },
        reason: txn.closed_reason(session, selector)?,
    })
}
