//! Changing a session's metadata.

use std::sync::Arc;

use super::apply::Apply;
use crate::domain::error::RuleViolation;
use crate::domain::id::SessionId;
use crate::domain::message::InvalidMessage;
use crate::domain::session::Session;
use crate::events::Event;
use crate::session_json::merged_metadata;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Applies a merge patch to a session's metadata. This is not activity.
#[derive(Debug)]
pub struct UpdateMetadata {
    /// The session.
    pub session_id: SessionId,
    /// The merge patch: the text of a JSON object.
    pub patch: String,
}

impl Apply for UpdateMetadata {
    type Output = Session;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Session> {
        let before = txn.active_session(self.session_id)?;
        let merged =
            merged_metadata(&before.metadata, &self.patch).map_err(|invalid| refusal(&invalid))?;
        let mut session = before;
        if let Some(metadata) = merged {
            set_metadata(txn, &mut session, metadata)?;
        }
        Ok(session)
    }
}

/// Refuses metadata that does not fit.
pub(super) fn refusal(invalid: &InvalidMessage) -> RuleViolation {
    RuleViolation::InvalidMetadata(invalid.reason().to_owned())
}

/// Replaces the metadata of a session, and publishes the change.
pub(super) fn set_metadata(
    txn: &mut Txn<'_>,
    session: &mut Session,
    metadata: String,
) -> CommandResult<()> {
    let before = session.clone();
    session.metadata = metadata;
    txn.update_session(&before, session)?;
    let updated = Event::Updated {
        session: Arc::new(session.clone()),
    };
    txn.publish(session.id, updated);
    Ok(())
}
