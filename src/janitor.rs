//! Work that deadlines trigger: warnings, expiry and purges.
//!
//! The janitor sleeps until the next deadline in the store's index, or until an earlier one is
//! written, and publishes due warnings and expiries. At every cleanup interval it purges sessions
//! whose retention is over, in slices through the same writer as all commands. The work depends on
//! the number of due sessions, never of stored ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::app::error::AppError;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::domain::time::{Millis, Timestamp};
use crate::events::{Event, SessionEvent};
use crate::store::command::{AdvanceCounters, Expire};
use crate::store::error::SubmitError;
use crate::store::schema::deadline::DueSession;

/// How many rows of the index one query reads.
const SLICE: usize = 500;

/// Deadlines closer together than this are handled together.
const COALESCE: Millis = Millis(20);

/// After this many due rows the counters are advanced, so that health has few rows to count.
const MAX_UNCOUNTED_ROWS: usize = 1000;

/// The pause before failed work is retried.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Publishes warnings and expiries, and purges.
#[derive(Debug)]
pub struct Janitor {
    app: Arc<App>,
    interval: Millis,
    next_purge: Timestamp,
    /// The last handled row of the index of warnings.
    warned: DueSession,
    /// The last handled row of the index of expiries.
    expired: DueSession,
    uncounted_rows: usize,
}

impl Janitor {
    /// Creates a janitor that purges at once and then at every interval.
    #[must_use]
    pub fn new(app: Arc<App>, interval: Millis) -> Self {
        let now = app.now();
        // There were no subscribers to what was due before the start.
        let start = (now, SessionId::from(u128::MAX));
        Self {
            app,
            interval,
            next_purge: now,
            warned: start,
            expired: start,
            uncounted_rows: 0,
        }
    }

    /// Works until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        loop {
            // From here on an earlier deadline wakes the janitor, even if it is written before the
            // next one is known.
            self.app.store().next_deadline().set(Timestamp::MAX);
            match self.handle_due().await {
                Ok(next) => self.sleep_until(next).await,
                Err(error) => {
                    tracing::warn!(?error, "due sessions cannot be handled yet");
                    self.app.clock().sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Handles all that is due. Returns the next deadline.
    async fn handle_due(&mut self) -> Result<Timestamp, AppError> {
        let now = self.app.now();
        // Read before the index: no later write sets a deadline before it.
        let settled = self.app.store().next_deadline().settled(now);
        self.publish_warnings(settled, now).await?;
        self.expire_due(settled).await?;
        if now >= self.next_purge {
            self.purge().await?;
            self.next_purge = now + self.interval;
        } else if self.uncounted_rows >= MAX_UNCOUNTED_ROWS {
            self.app.store().submit(AdvanceCounters).await?;
            self.uncounted_rows = 0;
        }
        let (warned, expired) = (self.warned.0.max(settled), self.expired.0.max(settled));
        let next = self
            .app
            .store()
            .next_deadline_after(warned, expired)
            .await?;
        Ok(next.map_or(self.next_purge, |next| next.min(self.next_purge)))
    }

    async fn sleep_until(&self, next: Timestamp) {
        let deadline = self.app.store().next_deadline();
        deadline.set(next);
        let wake = next.max(self.app.now() + COALESCE);
        tokio::select! {
            () = self.app.clock().sleep_until_promptly(wake) => {}
            () = deadline.sooner() => {}
        }
    }

    async fn purge(&mut self) -> Result<(), AppError> {
        let started = Instant::now();
        let removed = self.app.purge().await?;
        let elapsed = started.elapsed().as_secs_f64();
        self.app.metrics().sweep.observe(elapsed);
        self.app.store().submit(AdvanceCounters).await?;
        self.uncounted_rows = 0;
        if removed > 0 {
            tracing::info!(
                sessions = removed,
                "purged sessions whose retention is over"
            );
        }
        Ok(())
    }

    async fn publish_warnings(&mut self, until: Timestamp, now: Timestamp) -> Result<(), AppError> {
        loop {
            let store = self.app.store();
            let slice = store.due_warnings(Some(self.warned), until, SLICE).await?;
            if slice.is_empty() {
                return Ok(());
            }
            self.uncounted_rows += slice.len();
            for (row, session) in slice {
                self.warned = row;
                if let Some(session) = session.filter(|session| needs_warning(session, now)) {
                    self.publish_warning(session, now);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn publish_warning(&self, session: Session, now: Timestamp) {
        let scale = self.app.store().rules().scale;
        let minutes_remaining = scale.minutes_in(session.time_remaining(now));
        let id = session.id;
        let event = Event::NearExpiration {
            session: Arc::new(session),
            minutes_remaining,
        };
        self.app.events().publish(SessionEvent::new(id, event));
    }

    async fn expire_due(&mut self, until: Timestamp) -> Result<(), AppError> {
        loop {
            let store = self.app.store();
            let slice = store.due_expiries(Some(self.expired), until, SLICE).await?;
            if slice.is_empty() {
                return Ok(());
            }
            self.uncounted_rows += slice.len();
            for row in slice {
                self.expire(row.1).await?;
                self.expired = row;
                let lag = self.app.now().since(row.0).to_duration();
                self.app.metrics().expired.inc();
                self.app.metrics().expiry_lag.observe(lag.as_secs_f64());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Closes the turns of an expired session for which the agent was not called yet, and publishes
    /// the expiry. Without subscribers and open turns, nothing is written.
    async fn expire(&self, id: SessionId) -> Result<(), AppError> {
        let has_turns = self.app.store().has_open_turns(id).await?;
        if !has_turns && !self.app.events().has_subscribers(id) {
            return Ok(());
        }
        match self.app.store().submit(Expire(id)).await {
            Ok(closed) => self.app.end_expired_turns(id, &closed),
            // A damaged session must not block the others.
            Err(SubmitError::Record(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Returns whether the time left has just fallen to the threshold. A session that was created,
/// renewed or patched within its threshold gets no warning.
fn needs_warning(session: &Session, now: Timestamp) -> bool {
    session.is_near_expiration(now) && session.warn_at > session.scheduled_at
}
