//! When an agent is asked again.

use std::time::Duration;

use crate::agents::backend::RetryAfter;
use crate::domain::time::Timestamp;

/// How often an agent is asked at least before a turn is given up.
pub(super) const MIN_ATTEMPTS: u32 = 3;

/// How much of a turn's time is spent on retries at most, unless that is less than
/// [`MIN_ATTEMPTS`] take.
const LONGEST_WINDOW: Duration = Duration::from_secs(30);

/// The wait after the first attempt; each later one is twice as long, up to [`MAX_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);

const MAX_WAIT: Duration = Duration::from_secs(5);

/// A server that asks for a longer wait is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long a turn that may take so long is retried: up to 30 s, or a quarter of its time.
pub(super) fn window(allowed: Duration) -> Duration {
    LONGEST_WINDOW.min(allowed / 4)
}

/// How long to wait before the agent is asked again, after so many attempts.
///
/// None where the server behind asks for more than anybody should wait.
pub(super) fn wait(attempts: u32, after: Option<RetryAfter>, now: Timestamp) -> Option<Duration> {
    let asked_for = match after {
        None => Duration::ZERO,
        Some(RetryAfter::Span(span)) => span,
        Some(RetryAfter::Time(time)) => time.since(now).to_duration(),
    };
    if asked_for > MAX_RETRY_AFTER {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(8);
    let shortest = (FIRST_WAIT * 2_u32.pow(doublings)).min(MAX_WAIT);
    // Up to half as long again, so that those who failed together do not return together.
    let jitter = shortest.mul_f64(fastrand::f64() / 2.0);
    if asked_for > shortest {
        return Some(asked_for + jitter);
    }
    Some((shortest + jitter).min(MAX_WAIT.max(asked_for)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_no_shorter_than_the_server_asks_for() {
        let now = Timestamp(1_000_000);
        let millis = |attempts, after| wait(attempts, after, now).unwrap().as_millis();
        for _ in 0..100 {
            assert!((500..=750).contains(&millis(1, None)));
            assert!((1000..=1500).contains(&millis(2, None)));
            assert!((4000..=5000).contains(&millis(4, None)));
            assert!(millis(5, None) == 5000 && millis(u32::MAX, None) == 5000);
            let ten = RetryAfter::Span(Duration::from_secs(10));
            assert!((10_000..=10_250).contains(&millis(1, Some(ten))));
            let later = RetryAfter::Time(Timestamp(1_004_000));
            assert!((4_000..=4_250).contains(&millis(1, Some(later))));
            let past = RetryAfter::Time(Timestamp(5));
            assert!((500..=750).contains(&millis(1, Some(past))));
        }
        let long = RetryAfter::Span(Duration::from_millis(10_001));
        assert_eq!(wait(1, Some(long), now), None);
        let far = RetryAfter::Time(Timestamp(1_010_001));
        assert_eq!(wait(1, Some(far), now), None);
    }

    #[test]
    fn retries_take_a_quarter_of_a_turns_time_and_half_a_minute_at_most() {
        assert_eq!(window(Duration::from_mins(10)), Duration::from_secs(30));
        assert_eq!(window(Duration::from_secs(20)), Duration::from_secs(5));
    }
}
