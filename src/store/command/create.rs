//! Creating a session.

use super::sealed::Apply;
use crate::domain::error::Refusal;
use crate::domain::key::IdempotencyKey;
use crate::domain::session::{NewSession, Session, Standing};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::timeout::TimeoutOverrides;
use crate::json::is_same;
use crate::store::schema::record::CreateClaim;
use crate::store::write::txn::{Result, Txn};

/// How long a create's key is remembered: 24 hours.
pub(super) const KEY_LIFE: Millis = Millis(24 * 60 * 60 * 1000);

/// Creates a session, or finds the one that the same key made.
#[derive(Debug)]
pub struct CreateSession {
    /// The session to be.
    pub new: NewSession,
    /// What the key of `new`, if it has one, is compared by beside agent and metadata.
    pub asked: CreateKey,
    /// Whether the session's agent is there. A repeat finds its session all the same.
    pub has_agent: bool,
}

/// The part of a create's request that the session itself does not keep.
#[derive(Debug, Clone, Copy)]
pub struct CreateKey {
    /// The timeouts that the request asked for.
    pub timeout: TimeoutOverrides,
}

/// A session, made now or before.
#[derive(Debug)]
pub struct Created {
    /// The session as it is.
    pub session: Session,
    /// Whether an earlier call with the same key made it.
    pub replayed: bool,
}

impl Apply for CreateSession {
    type Output = Created;

    fn apply(self, txn: &mut Txn<'_>) -> Result<Created> {
        let Some(key) = self.new.create_key.clone() else {
            let session = self.insert(txn)?;
            return Ok(Created {
                session,
                replayed: false,
            });
        };
        if let Some(session) = self.earlier(txn, &key)? {
            return Ok(Created {
                session,
                replayed: true,
            });
        }
        let user = self.new.user_id;
        let timeout = self.asked.timeout;
        let session = self.insert(txn)?;
        let claim = CreateClaim {
            session_id: session.id,
            created_at: txn.now,
            timeout,
        };
        txn.put_create_claim(user, &key, &claim)?;
        Ok(Created {
            session,
            replayed: false,
        })
    }
}

/// Whether a key still stands for the session that it made.
pub(in crate::store) fn is_remembered(
    claim: &CreateClaim,
    session: &Session,
    now: Timestamp,
    kept: Millis,
) -> bool {
    now.since(claim.created_at) < KEY_LIFE && session.standing(now, kept) == Standing::Active
}

impl CreateSession {
    fn insert(self, txn: &mut Txn<'_>) -> Result<Session> {
        if !self.has_agent {
            return Err(Refusal::AgentNotFound(self.new.agent_id).into());
        }
        txn.require_room()?;
        self.require_room(txn)?;
        let session = Session::create(self.new, txn.now, txn.rules.scale);
        txn.insert_session(&session)?;
        Ok(session)
    }

    /// Refuses where the user has as many active sessions as a user may have. Counted here, where
    /// no other create comes in between.
    fn require_room(&self, txn: &Txn<'_>) -> Result<()> {
        let limit = txn.rules.max_sessions_per_user;
        if limit == 0 {
            return Ok(());
        }
        let quota = txn.active_sessions(self.new.user_id, limit.into())?;
        if quota.active < u64::from(limit) {
            return Ok(());
        }
        let next_expiry = quota.next_expiry;
        Err(Refusal::TooManySessions {
            limit,
            next_expiry,
            left: next_expiry.since(txn.now),
        }
        .into())
    }

    /// The session that the key made, while the key is remembered.
    fn earlier(&self, txn: &Txn<'_>, key: &IdempotencyKey) -> Result<Option<Session>> {
        let Some(claim) = txn.create_claim(self.new.user_id, key)? else {
            return Ok(None);
        };
        let Some(session) = txn.session(claim.session_id)? else {
            return Ok(None);
        };
        if !is_remembered(&claim, &session, txn.now, txn.rules.kept) {
            return Ok(None);
        }
        let is_the_same = session.agent_id == self.new.agent_id
            && claim.timeout == self.asked.timeout
            && is_same(Some(&session.metadata), Some(&self.new.metadata));
        if !is_the_same {
            return Err(Refusal::IdempotencyConflict {
                key: key.as_str().to_owned(),
            }
            .into());
        }
        Ok(Some(session))
    }
}
