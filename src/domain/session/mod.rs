//! The life of a session: creation, renewal, PATCH, expiry.
//!
//! Only creation, renewal and PATCH compute `expires_at`, so a changed setting never moves the
//! expiry of a stored session. A clock that steps back moves no time of a session back.

use super::continued::ContinuedFrom;
use super::error::{RenewalRefused, RuleViolation};
use super::id::{AgentId, SessionId, UserId};
use super::key::IdempotencyKey;
use super::time::{Millis, TimeScale, Timestamp};
use super::timeout::{InvalidTimeout, TimeoutConfig, TimeoutOverrides, TimeoutPolicy};

/// A conversation between a user and an agent.
///
/// ```
/// use sessiond::domain::id::{AgentId, SessionId, UserId};
/// use sessiond::domain::session::{NewSession, Session};
/// use sessiond::domain::time::{TimeScale, Timestamp};
/// use sessiond::domain::timeout::TimeoutConfig;
///
/// let minute = |minutes: i64| Timestamp(minutes * 60_000);
/// let new = NewSession {
///     id: SessionId::from(1),
///     agent_id: AgentId::from(2),
///     user_id: UserId::from(3),
///     timeout: TimeoutConfig {
///         timeout_minutes: 30,
///         auto_renew: true,
///         max_duration_minutes: 60,
///         warning_threshold_minutes: 5,
///     },
///     metadata: "{}".into(),
///     create_key: None,
/// };
/// let mut session = Session::create(new, minute(0), TimeScale::REAL);
/// assert_eq!(session.expires_at, minute(30));
/// assert!(session.touch(minute(20), TimeScale::REAL), "activity renews it");
/// assert_eq!(session.expires_at, minute(50));
/// assert!(session.renew(minute(45), TimeScale::REAL).is_ok());
/// assert_eq!(session.expires_at, minute(60), "at its longest duration");
/// assert!(session.renew(minute(50), TimeScale::REAL).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// The last activity of the user.
    pub last_activity: Timestamp,
    /// The creation or last renewal, from which the timeout counts.
    pub window_start: Timestamp,
    /// The instant of the expiry.
    pub expires_at: Timestamp,
    /// The instant from which the session is near expiration.
    pub warn_at: Timestamp,
    /// When `expires_at` or `warn_at` last changed.
    pub scheduled_at: Timestamp,
    /// The timeouts.
    pub timeout: TimeoutConfig,
    /// The number of renewals.
    pub renewal_count: u32,
    /// The client's data: the text of a JSON object.
    pub metadata: String,
    /// The idempotency key of its creation, unique per user.
    pub create_key: Option<IdempotencyKey>,
    /// The session that it continues.
    pub continued_from: Option<ContinuedFrom>,
}

/// The values of a new session.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The id.
    pub id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// The resolved timeouts.
    pub timeout: TimeoutConfig,
    /// The client's data: the text of a JSON object.
    pub metadata: String,
    /// The idempotency key of this creation.
    pub create_key: Option<IdempotencyKey>,
}

/// The stage of a session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeStage {
    /// The session can be used.
    Active,
    /// The session has expired and is still retained.
    Expired,
    /// The session has expired and its retention is over.
    Gone,
}

impl Session {
    /// Creates a session that begins now.
    #[must_use]
    pub fn create(new: NewSession, now: Timestamp, scale: TimeScale) -> Self {
        let mut session = Self {
            id: new.id,
            agent_id: new.agent_id,
            user_id: new.user_id,
            created_at: now,
            last_activity: now,
            window_start: now,
            expires_at: now,
            warn_at: now,
            scheduled_at: now,
            timeout: new.timeout,
            renewal_count: 0,
            metadata: new.metadata,
            create_key: new.create_key,
            continued_from: None,
        };
        session.schedule(now, scale);
        session
    }

    /// Returns the stage of the session's life. `retention` is how long sessions are retained after
    /// their expiry.
    #[must_use]
    pub fn life_stage(&self, now: Timestamp, retention: Millis) -> LifeStage {
        if now < self.expires_at {
            LifeStage::Active
        } else if now < self.expires_at + retention {
            LifeStage::Expired
        } else {
            LifeStage::Gone
        }
    }

    /// Checks that the session is active.
    ///
    /// # Errors
    /// The session has expired, or is gone.
    pub fn require_active(&self, now: Timestamp, retention: Millis) -> Result<(), RuleViolation> {
        match self.life_stage(now, retention) {
            LifeStage::Active => Ok(()),
            LifeStage::Expired => Err(RuleViolation::SessionExpired {
                session_id: self.id,
                expires_at: self.expires_at,
            }),
            LifeStage::Gone => Err(RuleViolation::SessionNotFound(self.id)),
        }
    }

    /// Returns whether a new session of this user and agent can continue this one: it has the same,
    /// and is active or retained.
    #[must_use]
    pub fn can_be_continued(
        &self,
        (user, agent): (UserId, AgentId),
        now: Timestamp,
        retention: Millis,
    ) -> bool {
        (self.user_id, self.agent_id) == (user, agent)
            && self.life_stage(now, retention) != LifeStage::Gone
    }

    /// Returns the time until the expiry, never negative.
    #[must_use]
    pub fn time_remaining(&self, now: Timestamp) -> Millis {
        Millis(self.expires_at.since(now).0.max(0))
    }

    /// Returns whether the session is active and within its warning threshold.
    #[must_use]
    pub fn is_near_expiration(&self, now: Timestamp) -> bool {
        self.warn_at <= now && now < self.expires_at
    }

    /// Renews the session, whatever its `auto_renew`. A renewal is activity too.
    ///
    /// # Errors
    /// The session has reached its longest duration.
    pub fn renew(&mut self, now: Timestamp, scale: TimeScale) -> Result<(), RenewalRefused> {
        if self.is_at_longest_duration(scale) {
            return Err(RenewalRefused {
                session_id: self.id,
                max_duration_minutes: self.timeout.max_duration_minutes,
                created_at: self.created_at,
                age: Millis(now.since(self.created_at).0.max(0)),
            });
        }
        self.last_activity = self.last_activity.max(now);
        self.window_start = self.window_start.max(now);
        self.renewal_count = self.renewal_count.saturating_add(1);
        self.schedule(now, scale);
        Ok(())
    }

    /// Records activity of the user, and renews the session if `auto_renew` is set and it has not
    /// reached its longest duration. Returns whether it was renewed.
    pub fn touch(&mut self, now: Timestamp, scale: TimeScale) -> bool {
        self.last_activity = self.last_activity.max(now);
        self.timeout.auto_renew && self.renew(now, scale).is_ok()
    }

    /// Changes the timeouts, which is neither activity nor a renewal.
    ///
    /// # Errors
    /// A value is out of bounds, or the session would have expired by now. It is then unchanged.
    pub fn patch(
        &mut self,
        patch: TimeoutOverrides,
        policy: &TimeoutPolicy,
        now: Timestamp,
        scale: TimeScale,
    ) -> Result<(), InvalidTimeout> {
        let mut patched = Self {
            timeout: policy.patch(self.timeout, patch)?,
            ..self.clone()
        };
        patched.schedule(now, scale);
        if patched.expires_at <= now {
            return Err(InvalidTimeout {
                field: if patched.is_at_longest_duration(scale) {
                    "maxDurationMinutes"
                } else {
                    "timeoutMinutes"
                },
                reason: format!(
                    "the session would have expired at {}; use DELETE to end it",
                    patched.expires_at
                ),
            });
        }
        if (patched.expires_at, patched.warn_at) == (self.expires_at, self.warn_at) {
            // A warning that is due but not yet published stays due.
            patched.scheduled_at = self.scheduled_at;
        }
        *self = patched;
        Ok(())
    }

    fn schedule(&mut self, now: Timestamp, scale: TimeScale) {
        let window_end = self.window_start + scale.minutes(self.timeout.timeout_minutes);
        self.expires_at = window_end.min(self.longest_end(scale));
        self.warn_at = self.expires_at - scale.minutes(self.timeout.warning_threshold_minutes);
        self.scheduled_at = now;
    }

    fn longest_end(&self, scale: TimeScale) -> Timestamp {
        self.created_at + scale.minutes(self.timeout.max_duration_minutes)
    }

    fn is_at_longest_duration(&self, scale: TimeScale) -> bool {
        self.expires_at >= self.longest_end(scale)
    }
}

#[cfg(test)]
mod tests;
