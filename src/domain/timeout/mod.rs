//! The timeouts of sessions: their precedence and bounds.

/// The longest timeout that any server can be configured to accept, in minutes: a week.
pub const LONGEST_TIMEOUT_MINUTES: u32 = 10_080;

/// A session's timeouts, resolved when it is created or patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutConfig {
    /// Minutes until the expiry, from the creation or the last renewal.
    pub timeout_minutes: u32,
    /// Whether activity renews the session.
    pub auto_renew: bool,
    /// The longest life in minutes, however often the session is renewed.
    pub max_duration_minutes: u32,
    /// How many minutes before its expiry a session is near expiration.
    pub warning_threshold_minutes: u32,
}

/// The timeouts that a request or an agent overrides. Numbers are finite and truncated, but not yet
/// clamped to bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimeoutOverrides {
    /// `timeoutMinutes`
    pub timeout_minutes: Option<f64>,
    /// `autoRenew`
    pub auto_renew: Option<bool>,
    /// `maxDurationMinutes`
    pub max_duration_minutes: Option<f64>,
    /// `warningThresholdMinutes`
    pub warning_threshold_minutes: Option<f64>,
}

/// An invalid timeout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidTimeout {
    /// The name of the field on the wire.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// The server's bounds and defaults of session timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// The shortest timeout, in minutes.
    pub min_timeout_minutes: u32,
    /// The longest timeout, in minutes; at least the shortest.
    pub max_timeout_minutes: u32,
    /// What applies if neither the request nor the agent gives a value.
    pub defaults: TimeoutConfig,
}

const TIMEOUT: &str = "timeoutMinutes";

impl TimeoutPolicy {
    /// Returns the timeouts of a new session: the request's, else the agent's, else the defaults,
    /// each clamped to its bounds.
    #[must_use]
    pub fn resolve(&self, request: TimeoutOverrides, agent: TimeoutOverrides) -> TimeoutConfig {
        let merged = TimeoutOverrides {
            timeout_minutes: request.timeout_minutes.or(agent.timeout_minutes),
            auto_renew: request.auto_renew.or(agent.auto_renew),
            max_duration_minutes: request.max_duration_minutes.or(agent.max_duration_minutes),
            warning_threshold_minutes: request
                .warning_threshold_minutes
                .or(agent.warning_threshold_minutes),
        };
        self.bounded(merged, self.defaults)
    }

    /// Returns the timeouts of a session after a PATCH; absent fields keep their values.
    ///
    /// # Errors
    /// `timeoutMinutes` is out of bounds.
    pub fn patch(
        &self,
        current: TimeoutConfig,
        patch: TimeoutOverrides,
    ) -> Result<TimeoutConfig, InvalidTimeout> {
        self.check(patch)?;
        Ok(self.bounded(patch, current))
    }

    /// Checks a PATCH, independent of the session.
    ///
    /// # Errors
    /// `timeoutMinutes` is out of bounds.
    pub fn check(&self, patch: TimeoutOverrides) -> Result<(), InvalidTimeout> {
        let (min, max) = (self.min_timeout_minutes, self.max_timeout_minutes);
        let allowed = f64::from(min)..=f64::from(max);
        match patch.timeout_minutes {
            Some(minutes) if !allowed.contains(&minutes) => Err(InvalidTimeout {
                field: TIMEOUT,
                reason: format!(
                    "{TIMEOUT} must be between {min} and {max}, not {}",
                    format_number(minutes)
                ),
            }),
            _ => Ok(()),
        }
    }

    fn bounded(&self, given: TimeoutOverrides, fallback: TimeoutConfig) -> TimeoutConfig {
        let (min, max) = (self.min_timeout_minutes, self.max_timeout_minutes);
        let timeout = given
            .timeout_minutes
            .unwrap_or(fallback.timeout_minutes.into());
        let duration = given
            .max_duration_minutes
            .unwrap_or(fallback.max_duration_minutes.into());
        let warning = given.warning_threshold_minutes;
        let warning = warning.unwrap_or(fallback.warning_threshold_minutes.into());
        let timeout_minutes = clamp(timeout, min, max);
        TimeoutConfig {
            timeout_minutes,
            auto_renew: given.auto_renew.unwrap_or(fallback.auto_renew),
            max_duration_minutes: clamp(duration, timeout_minutes, max.saturating_mul(2)),
            warning_threshold_minutes: clamp(warning, 1, max),
        }
    }
}

fn clamp(value: f64, min: u32, max: u32) -> u32 {
    let value = value.clamp(f64::from(min), f64::from(max));
    // The value is a whole number between two u32s.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let value = value as u32;
    value
}

/// Formats a number as JavaScript does: the largest ones would have 300 digits otherwise.
fn format_number(number: f64) -> String {
    if number.abs() < 1e21 {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

#[cfg(test)]
mod tests;
