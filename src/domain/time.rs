//! Points in time, spans of time and the time scale.

use std::fmt;
use std::ops::{Add, RangeInclusive, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A point in time: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A span of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub i64);

impl Timestamp {
    /// The earliest representable instant.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable instant.
    pub const MAX: Self = Self(i64::MAX);
    /// The instants that can be written as text: the years from 1 to 9999.
    pub const WRITABLE: RangeInclusive<Self> =
        Self(-62_135_596_800_000)..=Self(253_402_300_799_999);

    /// Returns the span from `earlier` to `self`; negative if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the next instant, a millisecond later.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    fn to_rfc3339(self) -> String {
        // No clock or request gives a time outside chrono's years (±262,000).
        let time = DateTime::<Utc>::from_timestamp_millis(self.0).unwrap_or_default();
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;

    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;

    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes RFC 3339 in UTC with milliseconds: `2024-01-15T10:30:45.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl serde::Serialize for Timestamp {
    /// Writes the text of [`Display`](fmt::Display).
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_rfc3339())
    }
}

impl Millis {
    /// Returns the span as a [`Duration`]; zero if it is negative.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<Duration> for Millis {
    /// Rounds down to milliseconds, and saturates.
    fn from(span: Duration) -> Self {
        Self(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
    }
}

/// How many minutes of session timeouts pass in one real minute: 1, except in tests that watch a
/// session expire within seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale(u32);

impl TimeScale {
    /// Real time.
    pub const REAL: Self = Self(1);
    /// The fastest scale: a minute takes one millisecond.
    pub const MAX: u32 = 60_000;

    /// Creates a scale of `factor`, clamped to 1..=[`Self::MAX`].
    #[must_use]
    pub fn new(factor: u32) -> Self {
        Self(factor.clamp(1, Self::MAX))
    }

    /// Returns the real span that `minutes` take.
    #[must_use]
    pub fn minutes(self, minutes: u32) -> Millis {
        Millis(i64::from(minutes) * 60_000 / i64::from(self.0))
    }

    /// Returns how many minutes a real span is, rounded up; 0 if it is negative.
    #[must_use]
    pub fn minutes_in(self, span: Millis) -> i64 {
        let scaled = span.0.max(0).saturating_mul(i64::from(self.0));
        scaled / 60_000 + i64::from(scaled % 60_000 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_in_utc() {
        assert_eq!(
            Timestamp(1_705_314_645_123).to_string(),
            "2024-01-15T10:30:45.123Z"
        );
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            serde_json::to_string(&Timestamp(1_705_314_645_000)).unwrap(),
            "\"2024-01-15T10:30:45.000Z\""
        );
    }

    #[test]
    fn a_scaled_minute_is_shorter() {
        assert_eq!(TimeScale::REAL.minutes(2), Millis(120_000));
        assert_eq!(TimeScale::new(600).minutes(5), Millis(500));
        assert_eq!(TimeScale::new(600).minutes_in(Millis(401)), 5);
        assert_eq!(TimeScale::REAL.minutes_in(Millis(60_000)), 1);
        assert_eq!(TimeScale::REAL.minutes_in(Millis(-5)), 0);
    }
}
