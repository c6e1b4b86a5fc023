//! A complaint that is made again and again, and told now and then.

use std::time::Duration;

use tokio::time::Instant;

/// How long it is not told again.
const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// How often it was made since it was last told, if it is time to tell it.
    pub(super) fn is_due(&mut self) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| told.elapsed() < SILENCE) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_told_is_counted() {
        let mut complaint = Seldom::default();
        assert_eq!(complaint.is_due(), Some(1));
        for _ in 0..100 {
            assert_eq!(complaint.is_due(), None);
        }
        tokio::time::advance(SILENCE).await;
        assert_eq!(complaint.is_due(), Some(101));
        assert_eq!(complaint.is_due(), None);
    }
}
