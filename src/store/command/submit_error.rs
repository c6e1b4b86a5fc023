//! Closing turns with an error that their agent submits.

use super::apply::{Apply, conflict};
use super::turn::fail;
use super::turn_selection::{self, SelectedTurn};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::key::IdempotencyKey;
use crate::domain::message::TurnFailure;
use crate::domain::session::Session;
use crate::domain::turn::{OpenTurn, Reply};
use crate::domain::waiting::{ClosedReason, SubmittedError, TurnSelector};
use crate::json;
use crate::session_json::metadata_digest;
use crate::store::error::CommandResult;
use crate::store::schema::record::SubmitClaim;
use crate::store::write::txn::Txn;

/// Closes the selected turns with an error, or finds those that the same key has closed.
#[derive(Debug)]
pub struct SubmitFailure {
    /// The session.
    pub session_id: SessionId,
    /// Which of its turns.
    pub selector: TurnSelector,
    /// The message for the user.
    pub message: String,
    /// The other fields of the call. They are stored only with the key, to compare them.
    pub sent_with: Reply,
    /// The idempotency key within the session.
    pub key: Option<IdempotencyKey>,
    /// Whether submissions close the turns of the session's agent.
    pub closes_turns: bool,
}

/// Turns that an agent closed with an error, now or before.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedTurns {
    /// Their messages, oldest first.
    pub failed: Vec<MessageId>,
    /// The failure that closed them.
    pub failure: TurnFailure,
    /// Whether an earlier command with the same key closed them.
    pub replayed: bool,
}

impl Apply for SubmitFailure {
    type Output = FailedTurns;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<FailedTurns> {
        let session = txn.retained_session(self.session_id)?;
        let turns = txn.open_turns(session.id)?;
        let selected = if self.closes_turns {
            turn_selection::select(txn, &turns, self.selector)?
        } else {
            Vec::new()
        };
        if let Some(key) = &self.key
            && let Some(claim) = txn.submit_claim(session.id, key)?
            && !turn_selection::is_reopened(&claim, self.selector, &selected)
        {
            return self.repeat(key, claim);
        }
        if selected.is_empty() {
            return Err(turn_selection::refusal(txn, session.id, self.selector)?.into());
        }
        self.store(txn, &session, selected, &turns)
    }
}

impl SubmitFailure {
    fn store(
        self,
        txn: &mut Txn<'_>,
        session: &Session,
        selected: Vec<SelectedTurn>,
        open: &[OpenTurn],
    ) -> CommandResult<FailedTurns> {
        let failure = TurnFailure::refused(self.message.clone());
        let digest = self.sent_with.session_metadata.as_deref();
        let digest = digest.map(metadata_digest);
        let newest_at = selected.last().map(|newest| newest.message.created_at);
        let mut left = open.len();
        let mut failed = Vec::with_capacity(selected.len());
        for mut selected in selected {
            fail(txn, session, &mut selected.message, failure.clone(), None);
            txn.put_message(&selected.message)?;
            left -= 1;
            txn.end_turn(&selected.turn, left == 0, ClosedReason::Answered)?;
            failed.push(selected.message.id);
        }
        if let (Some(key), Some(at)) = (self.key, newest_at) {
            let error = SubmittedError {
                key,
                message: self.message,
                metadata: self.sent_with.body.metadata,
                attachments: self.sent_with.body.attachments,
                thought: self.sent_with.thought,
                actions: self.sent_with.actions,
                session_metadata: digest,
                failed: failed.clone(),
            };
            txn.put_submitted_error(session.id, at, &error)?;
        }
        Ok(FailedTurns {
            failed,
            failure,
            replayed: false,
        })
    }

    fn repeat(&self, key: &IdempotencyKey, claim: SubmitClaim) -> CommandResult<FailedTurns> {
        match claim {
            SubmitClaim::Error(_, earlier) if self.has_same_content(&earlier) => Ok(FailedTurns {
                failed: earlier.failed,
                failure: TurnFailure::refused(earlier.message),
                replayed: true,
            }),
            SubmitClaim::Error(..) | SubmitClaim::Reply(..) => Err(conflict(key)),
        }
    }

    fn has_same_content(&self, earlier: &SubmittedError) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| {
            json::is_same(one.as_deref(), other.as_deref())
        };
        let Reply {
            body,
            thought,
            actions,
            session_metadata,
        } = &self.sent_with;
        self.message == earlier.message
            && same(&body.metadata, &earlier.metadata)
            && same(&body.attachments, &earlier.attachments)
            && *thought == earlier.thought
            && same(actions, &earlier.actions)
            && session_metadata.as_deref().map(metadata_digest) == earlier.session_metadata
    }
}
