//! Creating a session.

use super::apply::{Apply, conflict};
use super::continuation::Continuation;
use crate::domain::error::RuleViolation;
use crate::domain::id::UserId;
use crate::domain::key::{IdempotencyKey, RequestDigest};
use crate::domain::session::{LifeStage, NewSession, Session};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::timeout::TimeoutOverrides;
use crate::session_json::create_digest;
use crate::store::error::CommandResult;
use crate::store::schema::record::CreateClaim;
use crate::store::write::txn::Txn;

/// How long the key of a create is remembered: 24 hours.
pub(super) const KEY_LIFE: Millis = Millis(24 * 60 * 60 * 1000);

/// Creates a session, or finds the one that was created with the same key.
#[derive(Debug)]
pub struct CreateSession {
    /// The session to create.
    pub new: NewSession,
    /// The timeouts of the request, which a repeat with the same key must share.
    pub requested_timeout: TimeoutOverrides,
    /// Whether the session's agent exists. A repeat finds its session even if it does not.
    pub has_agent: bool,
    /// The session that it continues.
    pub continuation: Option<Continuation>,
}

/// A session, created now or before.
#[derive(Debug)]
pub struct Created {
    /// The session.
    pub session: Session,
    /// Whether an earlier command with the same key created it.
    pub replayed: bool,
}

impl Apply for CreateSession {
    type Output = Created;

    fn apply(self, txn: &mut Txn<'_>) -> CommandResult<Created> {
        let key = self.new.create_key.clone();
        let key = key.map(|key| (key, self.digest()));
        if let Some((key, digest)) = &key
            && let Some(session) = self.earlier(txn, key, *digest)?
        {
            return Ok(Created {
                session,
                replayed: true,
            });
        }
        let session = self.insert(txn)?;
        if let Some((key, digest)) = key {
            let claim = CreateClaim {
                session_id: session.id,
                created_at: txn.now,
                digest,
            };
            txn.put_create_claim(session.user_id, &key, &claim)?;
        }
        Ok(Created {
            session,
            replayed: false,
        })
    }
}

/// Whether a key still stands for the session that was created with it.
pub(crate) fn is_remembered(
    claim: &CreateClaim,
    session: &Session,
    now: Timestamp,
    retention: Millis,
) -> bool {
    now.since(claim.created_at) < KEY_LIFE
        && session.life_stage(now, retention) == LifeStage::Active
}

/// Returns the claim to a user's create key with its session, while it is remembered.
pub(crate) fn remembered_claim(
    txn: &Txn<'_>,
    user: UserId,
    key: &IdempotencyKey,
) -> CommandResult<Option<(CreateClaim, Session)>> {
    let Some(claim) = txn.create_claim(user, key)? else {
        return Ok(None);
    };
    let session = txn.session(claim.session_id)?;
    let session =
        session.filter(|session| is_remembered(&claim, session, txn.now, txn.rules.retention));
    Ok(session.map(|session| (claim, session)))
}

impl CreateSession {
    fn insert(self, txn: &mut Txn<'_>) -> CommandResult<Session> {
        if !self.has_agent {
            return Err(RuleViolation::AgentNotFound(self.new.agent_id).into());
        }
        let owner = (self.new.user_id, self.new.agent_id);
        if let Some(continuation) = &self.continuation {
            continuation.check(txn, owner)?;
        }
        txn.require_free_space()?;
        self.require_quota(txn)?;
        let mut session = Session::create(self.new, txn.now, txn.rules.scale);
        if let Some(continuation) = self.continuation {
            let (copies, continued) = continuation.read(txn, session.id)?;
            txn.put_copies(&copies)?;
            session.continued_from = Some(continued);
        }
        txn.insert_session(&session)?;
        txn.effects.created += 1;
        Ok(session)
    }

    /// Returns the digest with which a repeat is compared.
    fn digest(&self) -> RequestDigest {
        let source = self.continuation.as_ref().map(|it| &it.from);
        let new = &self.new;
        create_digest(new.agent_id, &new.metadata, &self.requested_timeout, source)
    }

    /// Refuses if the user has the maximum of active sessions. Counted in the transaction, so that
    /// no other create can come in between.
    fn require_quota(&self, txn: &Txn<'_>) -> CommandResult<()> {
        let limit = txn.rules.max_sessions_per_user;
        if limit == 0 {
            return Ok(());
        }
        let quota = txn.active_sessions(self.new.user_id, limit.into())?;
        if quota.active < u64::from(limit) {
            return Ok(());
        }
        let next_expiry = quota.next_expiry;
        Err(RuleViolation::TooManySessions {
            limit,
            next_expiry,
            left: next_expiry.since(txn.now),
        }
        .into())
    }

    /// Returns the session that was created with the key, while the key is remembered.
    fn earlier(
        &self,
        txn: &Txn<'_>,
        key: &IdempotencyKey,
        digest: RequestDigest,
    ) -> CommandResult<Option<Session>> {
        let Some((claim, session)) = remembered_claim(txn, self.new.user_id, key)? else {
            return Ok(None);
        };
        if claim.digest != digest {
            return Err(conflict(key));
        }
        Ok(Some(session))
    }
}
