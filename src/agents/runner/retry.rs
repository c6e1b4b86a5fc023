//! When an agent is asked again.

use std::time::Duration;

use crate::agents::backend::RetryAfter;
use crate::domain::time::Timestamp;

/// How often an agent is asked in all.
pub(super) const MAX_TRIES: u32 = 3;

/// The wait after the first try; each later one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// A server that wants a longer wait is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long to wait before the agent is asked again, after so many tries.
///
/// None where the server behind asks for more than anybody should wait.
pub(super) fn wait(tries: u32, after: Option<RetryAfter>, now: Timestamp) -> Option<Duration> {
    let asked_for = match after {
        None => Duration::ZERO,
        Some(RetryAfter::Span(span)) => span,
        Some(RetryAfter::Time(time)) => time.since(now).to_duration(),
    };
    if asked_for > LONGEST_WAIT {
        return None;
    }
    let shortest = FIRST_WAIT * 2_u32.saturating_pow(tries.saturating_sub(1));
    // Up to half as long again, so that those who failed together do not return together.
    let jitter = shortest.mul_f64(fastrand::f64() / 2.0);
    Some(asked_for.max(shortest) + jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_no_shorter_than_the_server_asks_for() {
        let now = Timestamp(1_000_000);
        let millis = |tries, after| wait(tries, after, now).unwrap().as_millis();
        for _ in 0..100 {
            assert!((500..=750).contains(&millis(1, None)));
            assert!((1000..=1500).contains(&millis(2, None)));
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
}
