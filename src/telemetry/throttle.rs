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
    /// Allows a message in each interval.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            logged_at: None,
            suppressed: 0,
        }
    }

    /// Counts an occurrence. Where a message is due, returns how many occurrences there were since
    /// the last one, this one included.
    pub(crate) fn record(&mut self) -> Option<u64> {
        self.suppressed += 1;
        if !self.is_due() {
            return None;
        }
        self.logged();
        Some(std::mem::take(&mut self.suppressed))
    }

    /// Whether the interval of the last message is over.
    pub(crate) fn is_due(&self) -> bool {
        self.logged_at
            .is_none_or(|logged_at| logged_at.elapsed() >= self.interval)
    }

    /// Starts a new interval: a message is being logged.
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
