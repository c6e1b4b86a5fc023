//! What happens by the clock alone.
//!
//! The janitor sleeps until the next deadline in the store's index, or until an earlier one is
//! written, and tells what fell due. At every cleanup interval it removes what is past its
//! keeping, in slices through the same writer as everybody else. Its work is proportional to what
//! is due, never to what is stored.

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
use crate::store::schema::deadline::Place;

/// How many index rows are looked at in one go.
const SLICE: usize = 500;

/// Deadlines closer together than this are met together.
const COALESCE: Millis = Millis(20);

/// After so many rows fell due, the tallies are moved, so that health has few rows to count.
const ROWS_TO_WALK: usize = 1000;

/// How long to wait where the store fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps the house until it is told to stop.
#[derive(Debug)]
pub struct Janitor {
    app: Arc<App>,
    interval: Millis,
    next_sweep: Timestamp,
    warned: Place,
    expired: Place,
    rows_since_walk: usize,
}

impl Janitor {
    /// A janitor that sweeps at once and then at every interval.
    #[must_use]
    pub fn new(app: Arc<App>, interval: Millis) -> Self {
        let now = app.now();
        // Nobody can have listened to what fell due before the start.
        let place = (now, SessionId::from(u128::MAX));
        Self {
            app,
            interval,
            next_sweep: now,
            warned: place,
            expired: place,
            rows_since_walk: 0,
        }
    }

    /// Works until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        loop {
            // From here on an earlier deadline wakes the janitor even if it is written before the
            // alarm is set.
            self.app.store().alarm().set(Timestamp::MAX);
            match self.round().await {
                Ok(next) => self.sleep_until(next).await,
                Err(error) => {
                    tracing::warn!(?error, "what fell due cannot be dealt with yet");
                    self.app.clock().sleep(PAUSE).await;
                }
            }
        }
    }

    /// Deals with all that is due; returns when there is more to do.
    async fn round(&mut self) -> Result<Timestamp, AppError> {
        let now = self.app.now();
        // Before anything is read: what is written later sets no deadline before it.
        let settled = self.app.store().alarm().settled(now);
        self.tell_warnings(settled, now).await?;
        self.tell_expiries(settled).await?;
        if now >= self.next_sweep {
            self.sweep().await?;
            self.next_sweep = now + self.interval;
        } else if self.rows_since_walk >= ROWS_TO_WALK {
            self.app.store().submit(AdvanceCounters).await?;
            self.rows_since_walk = 0;
        }
        let (warned, expired) = (self.warned.0.max(settled), self.expired.0.max(settled));
        let next = self.app.store().next_deadline(warned, expired).await?;
        Ok(next.map_or(self.next_sweep, |next| next.min(self.next_sweep)))
    }

    async fn sleep_until(&self, next: Timestamp) {
        let alarm = self.app.store().alarm();
        alarm.set(next);
        let wake = next.max(self.app.now() + COALESCE);
        tokio::select! {
            () = self.app.clock().sleep_until_promptly(wake) => {}
            () = alarm.sooner() => {}
        }
    }

    async fn sweep(&mut self) -> Result<(), AppError> {
        let started = Instant::now();
        let removed = self.app.purge().await?;
        let elapsed = started.elapsed().as_secs_f64();
        self.app.metrics().sweep.observe(elapsed);
        self.app.store().submit(AdvanceCounters).await?;
        self.rows_since_walk = 0;
        if removed > 0 {
            tracing::info!(sessions = removed, "removed sessions past their keeping");
        }
        Ok(())
    }

    async fn tell_warnings(&mut self, until: Timestamp, now: Timestamp) -> Result<(), AppError> {
        loop {
            let store = self.app.store();
            let slice = store.due_warnings(Some(self.warned), until, SLICE).await?;
            if slice.is_empty() {
                return Ok(());
            }
            self.rows_since_walk += slice.len();
            for (place, session) in slice {
                self.warned = place;
                if let Some(session) = session.filter(|session| is_to_be_warned(session, now)) {
                    self.tell_warning(session, now);
                }
            }
            tokio::task::yield_now().await;
        }
    }

    fn tell_warning(&self, session: Session, now: Timestamp) {
        let scale = self.app.store().rules().scale;
        let minutes_remaining = scale.minutes_in(session.time_remaining(now));
        let id = session.id;
        let event = Event::NearExpiration {
            session: Arc::new(session),
            minutes_remaining,
        };
        self.app.events().publish(SessionEvent::new(id, event));
    }

    async fn tell_expiries(&mut self, until: Timestamp) -> Result<(), AppError> {
        loop {
            let store = self.app.store();
            let slice = store.due_expiries(Some(self.expired), until, SLICE).await?;
            if slice.is_empty() {
                return Ok(());
            }
            self.rows_since_walk += slice.len();
            for place in slice {
                self.expire(place.1).await?;
                self.expired = place;
                self.count_expiry(place.0);
            }
            tokio::task::yield_now().await;
        }
    }

    fn count_expiry(&self, expired_at: Timestamp) {
        let lag = u64::try_from(self.app.now().since(expired_at).0).unwrap_or_default();
        let metrics = self.app.metrics();
        metrics.expired.inc();
        let lag = Duration::from_millis(lag).as_secs_f64();
        metrics.expiry_lag.observe(lag);
    }

    /// Closes the turns of an expired session that the agent was not asked for, and tells of the
    /// expiry. Where there is nobody to tell and nothing to close, that costs no write.
    async fn expire(&self, id: SessionId) -> Result<(), AppError> {
        let has_turns = self.app.store().has_open_turns(id).await?;
        if !has_turns && !self.app.events().is_heard(id) {
            return Ok(());
        }
        match self.app.store().submit(Expire(id)).await {
            Ok(closed) => self.app.end_unasked(id, &closed),
            // A damaged session must not keep the others from being told.
            Err(SubmitError::Record(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Whether the time left has just fallen to the threshold: a session that was created, renewed or
/// patched within it is not warned of here.
fn is_to_be_warned(session: &Session, now: Timestamp) -> bool {
    session.is_near_expiration(now) && session.warn_at > session.scheduled_at
}
