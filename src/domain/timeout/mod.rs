//! The timeout policy: where each setting of a session comes from, and its bounds.

/// A session's timeouts, as resolved when it was created or patched. Minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutConfig {
    /// How long a session lives after its creation or last renewal.
    pub timeout_minutes: u32,
    /// Whether activity renews the session.
    pub auto_renew: bool,
    /// How long a session lives at most, renewed or not.
    pub max_duration_minutes: u32,
    /// How long before its expiry a session counts as near it.
    pub warning_threshold_minutes: u32,
}

/// What one level of precedence (a request, an agent) says of the timeouts.
///
/// Numbers are finite and truncated, but not yet held to any bounds.
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

/// A timeout setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct InvalidTimeout {
    /// The field at fault, as the client spells it.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub reason: String,
}

/// The server's own bounds and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeoutPolicy {
    /// The shortest timeout, in minutes.
    pub min_timeout_minutes: u32,
    /// The longest timeout, in minutes; at least the shortest.
    pub max_timeout_minutes: u32,
    /// What applies where neither the request nor the agent says anything.
    pub defaults: TimeoutConfig,
}

const TIMEOUT: &str = "timeoutMinutes";

impl TimeoutPolicy {
    /// The timeouts of a new session: the request's, else the agent's, else the defaults, and
    /// the bounds applied to the merged result.
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

    /// The timeouts of a session after a PATCH: a field that is not given keeps its value.
    ///
    /// # Errors
    /// A `timeoutMinutes` outside the bounds.
    pub fn patch(
        &self,
        present: TimeoutConfig,
        patch: TimeoutOverrides,
    ) -> Result<TimeoutConfig, InvalidTimeout> {
        self.check(patch)?;
        Ok(self.bounded(patch, present))
    }

    /// Checks what a PATCH asks for, whatever session it is for.
    ///
    /// # Errors
    /// A `timeoutMinutes` outside the bounds.
    pub fn check(&self, patch: TimeoutOverrides) -> Result<(), InvalidTimeout> {
        let (min, max) = (self.min_timeout_minutes, self.max_timeout_minutes);
        let allowed = f64::from(min)..=f64::from(max);
        let outside = patch
            .timeout_minutes
            .filter(|minutes| !allowed.contains(minutes));
        let Some(minutes) = outside else {
            return Ok(());
        };
        Err(InvalidTimeout {
            field: TIMEOUT,
            reason: format!(
                "{TIMEOUT} must be between {min} and {max}, not {}",
                shown(minutes)
            ),
        })
    }

    fn bounded(&self, given: TimeoutOverrides, fallback: TimeoutConfig) -> TimeoutConfig {
        let max = self.max_timeout_minutes;
        let timeout = clamp(
            given.timeout_minutes,
            fallback.timeout_minutes,
            self.min_timeout_minutes,
            max,
        );
        TimeoutConfig {
            timeout_minutes: timeout,
            auto_renew: given.auto_renew.unwrap_or(fallback.auto_renew),
            max_duration_minutes: clamp(
                given.max_duration_minutes,
                fallback.max_duration_minutes,
                timeout,
                max.saturating_mul(2),
            ),
            warning_threshold_minutes: clamp(
                given.warning_threshold_minutes,
                fallback.warning_threshold_minutes,
                1,
                max,
            ),
        }
    }
}

fn clamp(given: Option<f64>, fallback: u32, min: u32, max: u32) -> u32 {
    let value = given
        .unwrap_or(f64::from(fallback))
        .clamp(f64::from(min), f64::from(max));
    // The value is a whole number between two u32s.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let value = value as u32;
    value
}

/// A number as JavaScript writes it: the largest ones have 300 digits otherwise.
fn shown(number: f64) -> String {
    if number.abs() < 1e21 {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}

#[cfg(test)]
mod tests;
