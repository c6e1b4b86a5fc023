//! A session and what may happen to it.
//!
//! `expires_at` is computed at creation, renewal and PATCH and by nothing else, so a changed
//! setting never moves an existing session. Where the clock steps back, no time in here does.

use super::error::{Refusal, RenewalRefused};
use super::id::{AgentId, SessionId, UserId};
use super::key::IdempotencyKey;
use super::time::{Millis, TimeScale, Timestamp};
use super::timeout::{InvalidTimeout, TimeoutConfig, TimeoutOverrides, TimeoutPolicy};

/// A conversation between a user and an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id, which names its channel too.
    pub id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// When it was created.
    pub created_at: Timestamp,
    /// When the user last did something in it.
    pub last_activity: Timestamp,
    /// The creation, or the last renewal if there was one: the timeout counts from here.
    pub window_start: Timestamp,
    /// The instant from which it is expired.
    pub expires_at: Timestamp,
    /// The instant from which it is near its expiration.
    pub warn_at: Timestamp,
    /// When the two instants above were last moved.
    pub scheduled_at: Timestamp,
    /// Its timeouts.
    pub timeout: TimeoutConfig,
    /// How often it was renewed.
    pub renewal_count: u32,
    /// The client's own data: the text of a JSON object.
    pub metadata: String,
    /// The key that names its creation among its user's.
    pub create_key: Option<IdempotencyKey>,
}

/// What a new session is made of.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The agent.
    pub agent_id: AgentId,
    /// The user.
    pub user_id: UserId,
    /// Its resolved timeouts.
    pub timeout: TimeoutConfig,
    /// The text of a JSON object.
    pub metadata: String,
    /// The key that names this creation.
    pub create_key: Option<IdempotencyKey>,
}

/// Where a session stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be used.
    Active,
    /// It has expired and is still kept.
    Expired,
    /// It has expired, and the time for which it was kept is over.
    Gone,
}

impl Session {
    /// A session that begins now.
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
        };
        session.schedule(now, scale);
        session
    }

    /// Where the session stands; `kept` is how long sessions are kept after their expiry.
    #[must_use]
    pub fn standing(&self, now: Timestamp, kept: Millis) -> Standing {
        if now < self.expires_at {
            Standing::Active
        } else if now < self.expires_at + kept {
            Standing::Expired
        } else {
            Standing::Gone
        }
    }

    /// Lets a call pass that an expired session refuses.
    ///
    /// # Errors
    /// The session has expired, or is gone.
    pub fn require_active(&self, now: Timestamp, kept: Millis) -> Result<(), Refusal> {
        match self.standing(now, kept) {
            Standing::Active => Ok(()),
            Standing::Expired => Err(Refusal::SessionExpired {
                session_id: self.id,
                expires_at: self.expires_at,
            }),
            Standing::Gone => Err(Refusal::SessionNotFound(self.id)),
        }
    }

    /// The time left, never negative.
    #[must_use]
    pub fn time_remaining(&self, now: Timestamp) -> Millis {
        Millis(self.expires_at.since(now).0.max(0))
    }

    /// Whether the session is active and within its warning threshold.
    #[must_use]
    pub fn is_near_expiration(&self, now: Timestamp) -> bool {
        self.warn_at <= now && now < self.expires_at
    }

    /// Renews the session whatever its `auto_renew` says, which is activity too.
    ///
    /// # Errors
    /// The session already stands at its longest duration.
    pub fn renew(&mut self, now: Timestamp, scale: TimeScale) -> Result<(), RenewalRefused> {
        if self.stands_at_its_end(scale) {
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

    /// Notes the user's activity, and renews where that is wanted and possible.
    ///
    /// Returns whether the session was renewed.
    pub fn touch(&mut self, now: Timestamp, scale: TimeScale) -> bool {
        self.last_activity = self.last_activity.max(now);
        self.timeout.auto_renew && self.renew(now, scale).is_ok()
    }

    /// Changes the timeouts, which is neither activity nor a renewal.
    ///
    /// # Errors
    /// A value out of bounds, or timeouts under which the session would have expired by now;
    /// the session is then unchanged.
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
                field: patched.limiting_field(scale),
                reason: format!(
                    "the session would have expired at {}; use DELETE to end it",
                    patched.expires_at
                ),
            });
        }
        if (patched.expires_at, patched.warn_at) == (self.expires_at, self.warn_at) {
            // A warning that is due and not told yet is still to be told.
            patched.scheduled_at = self.scheduled_at;
        }
        *self = patched;
        Ok(())
    }

    fn schedule(&mut self, now: Timestamp, scale: TimeScale) {
        let window_end = self.window_start + scale.minutes(self.timeout.timeout_minutes);
        self.expires_at = window_end.min(self.latest_end(scale));
        self.warn_at = self.expires_at - scale.minutes(self.timeout.warning_threshold_minutes);
        self.scheduled_at = now;
    }

    fn latest_end(&self, scale: TimeScale) -> Timestamp {
        self.created_at + scale.minutes(self.timeout.max_duration_minutes)
    }

    fn stands_at_its_end(&self, scale: TimeScale) -> bool {
        self.expires_at >= self.latest_end(scale)
    }

    fn limiting_field(&self, scale: TimeScale) -> &'static str {
        if self.stands_at_its_end(scale) {
            "maxDurationMinutes"
        } else {
            "timeoutMinutes"
        }
    }
}

#[cfg(test)]
mod tests;
