//! Commands that change a session's times.

use std::sync::Arc;

use super::apply::Apply;
use crate::domain::error::RuleViolation;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::timeout::TimeoutOverrides;
use crate::events::Event;
use crate::store::error::CommandResult;
use crate::store::write::txn::Txn;

/// Renews a session on request.
#[derive(Debug)]
pub struct Renew(pub SessionId);

/// Records activity, which renews the session if it renews itself.
#[derive(Debug)]
pub struct Heartbeat(pub SessionId);

/// Changes a session's timeouts.
#[derive(Debug)]
pub struct PatchTimeout {
    /// The session.
    pub session_id: SessionId,
    /// The fields to change.
    pub patch: TimeoutOverrides,
}

impl Apply for Renew {
    type Output = Session;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Session> {
        let before = txn.active_session(self.0)?;
        let mut session = before.clone();
        session
            .renew(txn.now, txn.rules.scale)
            .map_err(RuleViolation::RenewalRefused)?;
        txn.update_session(&before, &session)?;
        publish_renewal(txn, &session);
        Ok(session)
    }
}

impl Apply for Heartbeat {
    type Output = Session;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Session> {
        let before = txn.active_session(self.0)?;
        let mut session = before.clone();
        let renewed = session.touch(txn.now, txn.rules.scale);
        txn.update_session(&before, &session)?;
        if renewed {
            publish_renewal(txn, &session);
        }
        Ok(session)
    }
}

impl Apply for PatchTimeout {
    type Output = Session;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Session> {
        let before = txn.active_session(self.session_id)?;
        let mut session = before.clone();
        session
            .patch(self.patch, &txn.rules.policy, txn.now, txn.rules.scale)
            .map_err(RuleViolation::InvalidTimeout)?;
        txn.update_session(&before, &session)?;
        if session.is_near_expiration(txn.now) && !before.is_near_expiration(txn.now) {
            let minutes_remaining = txn.rules.scale.minutes_in(session.time_remaining(txn.now));
            let near = Event::NearExpiration {
                session: Arc::new(session.clone()),
                minutes_remaining,
            };
            txn.publish(session.id, near);
        }
        Ok(session)
    }
}

fn publish_renewal(txn: &mut Txn<'_>, renewed: &Session) {
    let session = Arc::new(renewed.clone());
    txn.publish(renewed.id, Event::Renewed { session });
}
