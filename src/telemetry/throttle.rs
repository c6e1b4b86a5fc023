//! Rate-limits a repeated log message.

use std::time::Duration;

use tokio::time::Instant;

/// Rate-limits a repeated log message.
#[derive(Debug)]
pub(crate) struct LogThrottle {
    interval: Duration,
    logged_at: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Allows one message per interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            logged_at: None,
            suppressed: 0,
        }
    }

    /// Counts an occurrence. If a message is due, returns the number of occurrences since the last
    /// one, including this one.
    pub(crate) fn record(&mut self) -> Option<u64> {
        self.suppressed += 1;
        if !self.is_due() {
            return None;
        }
        self.logged();
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Whether the interval since the last message has passed.
    pub(crate) fn is_due(&self) -> bool {
        let interval = self.interval;
        self.logged_at
            .is_none_or(|logged_at| logged_at.elapsed() >= interval)
    }

    /// Starts a new interval.
    pub(crate) fn logged(&mut self) {
        self.logged_at = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn suppressed_messages_are_counted() {
        let mut throttle = LogThrottle::new(INTERVAL);
        assert_eq!(throttle.record(), Some(1));
        for _ in 0..100 {
            assert_eq!(throttle.record(), None);
        }
        tokio::time::advance(INTERVAL).await;
        assert_eq!(throttle.record(), Some(101));
        assert_eq!(throttle.record(), None);
    }
}
