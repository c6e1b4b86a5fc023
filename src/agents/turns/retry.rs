//! When a turn is retried.

use std::time::Duration;

use crate::agents::backend::RetryAfter;
use crate::domain::activity::{Activity, ActivityKind, ActivityState};
use crate::domain::time::Timestamp;

/// The minimum number of attempts before a turn fails.
pub(super) const MIN_ATTEMPTS: u32 = 3;

/// The maximum time for retries, unless [`MIN_ATTEMPTS`] take longer.
const MAX_WINDOW: Duration = Duration::from_secs(30);

/// The pause after the first attempt, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

const MAX_PAUSE: Duration = Duration::from_secs(5);

/// If a server asks for a longer pause, the turn fails.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);

/// Returns how long a turn with this timeout is retried: up to 30 s, or a quarter of the timeout.
pub(super) fn window(timeout: Duration) -> Duration {
    MAX_WINDOW.min(timeout / 4)
}

/// Returns the pause before the next attempt; `None` if the server asks for too long a one.
pub(super) fn pause(attempts: u32, after: Option<RetryAfter>, now: Timestamp) -> Option<Duration> {
    let requested = match after {
        None => Duration::ZERO,
        Some(RetryAfter::Span(span)) => span,
        Some(RetryAfter::Time(time)) => time.since(now).to_duration(),
    };
    if requested > MAX_RETRY_AFTER {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(8);
    let backoff = (FIRST_PAUSE * 2_u32.pow(doublings)).min(MAX_PAUSE);
    // So that turns that failed together are not retried together.
    let jitter = backoff.mul_f64(fastrand::f64() / 2.0);
    if requested > backoff {
        return Some(requested + jitter);
    }
    Some((backoff + jitter).min(MAX_PAUSE.max(requested)))
}

/// Returns the activity that announces a retry, without the words of the agent's server.
pub(super) fn announcement(retry: u32, pause: Duration) -> Activity {
    let seconds = pause.as_nanos().div_ceil(1_000_000_000);
    activity(
        ActivityState::Started,
        Some(format!("retry {retry} in {seconds} s")),
    )
}

/// Returns the activity that ends an announcement: the pause is over.
pub(super) fn announcement_done() -> Activity {
    activity(ActivityState::Done, None)
}

fn activity(state: ActivityState, text: Option<String>) -> Activity {
    Activity::new(ActivityKind::Status, text)
        .with_name("retry".into())
        .with_state(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_at_least_what_the_server_asks_for() {
        let now = Timestamp(1_000_000);
        let millis = |attempts, after| pause(attempts, after, now).unwrap().as_millis();
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
        assert_eq!(pause(1, Some(long), now), None);
        let far = RetryAfter::Time(Timestamp(1_010_001));
        assert_eq!(pause(1, Some(far), now), None);
    }

    #[test]
    fn retries_take_a_quarter_of_the_timeout_and_at_most_half_a_minute() {
        assert_eq!(window(Duration::from_mins(10)), Duration::from_secs(30));
        assert_eq!(window(Duration::from_secs(20)), Duration::from_secs(5));
    }
}
