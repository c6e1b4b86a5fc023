//! Health, metrics and the measured size of the database.

use std::time::Duration;

use super::application::App;
use super::error::AppError;
use crate::metrics::{Format, GaugeValues, Point, Totals};
use crate::store::Stats;
use crate::store::error::ReadError;

/// The status of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything works.
    Healthy,
    /// Writes are accepted, but stored data is damaged.
    Degraded,
    /// New data is not stored.
    Unhealthy,
}

/// A reason why the service is not healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The last commit failed.
    CommitFailed,
    /// There is no free space for new data.
    NoSpace,
    /// The open database file is not the one at its path.
    FileReplaced,
    /// Stored records cannot be decoded.
    UndecodableRecords,
    /// The last verification found damaged pages.
    DamagedPages,
}

impl Reason {
    /// Returns the name that clients see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommitFailed => "commit_failed",
            Self::NoSpace => "no_space",
            Self::FileReplaced => "file_replaced",
            Self::UndecodableRecords => "undecodable_records",
            Self::DamagedPages => "damaged_pages",
        }
    }
}

/// The health of the service.
#[derive(Debug)]
pub struct Health {
    /// The status.
    pub status: Status,
    /// Why it is not healthy; empty if it is.
    pub reasons: Vec<Reason>,
    /// The number of sessions; `None` if the database cannot be read.
    pub stats: Option<Stats>,
    /// How many sessions have records that cannot be decoded.
    pub invalid_sessions: u64,
    /// How long the server has been running.
    pub uptime: Duration,
}

impl App {
    /// Returns the health of the service.
    #[must_use]
    pub async fn health(&self) -> Health {
        let counted = self.stats().await.ok();
        let store = self.store.health();
        // If sessions cannot be counted, the file is damaged, unless there is a better reason.
        let is_damaged = store.damaged_pages > 0 || (counted.is_none() && store.is_writable());
        let reasons: Vec<_> = [
            (store.commit_failed, Reason::CommitFailed),
            (store.no_space, Reason::NoSpace),
            (store.file_replaced, Reason::FileReplaced),
            (store.undecodable_sessions > 0, Reason::UndecodableRecords),
            (is_damaged, Reason::DamagedPages),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect();
        let status = if !store.is_writable() || counted.is_none() {
            Status::Unhealthy
        } else if reasons.is_empty() {
            Status::Healthy
        } else {
            Status::Degraded
        };
        Health {
            status,
            reasons,
            stats: counted,
            invalid_sessions: store.undecodable_sessions,
            uptime: self.started.elapsed(),
        }
    }

    /// Returns all metrics as text. Gauges that the store gives are left out if it cannot be read.
    #[must_use]
    pub async fn metrics_text(&self, format: Format) -> String {
        self.metrics.text(self.state().await.ok(), format)
    }

    /// Adds a point to the history of the metrics, with the rates since an earlier reading, if
    /// there is one, and after `missed` points without values. Returns the reading of the point.
    pub async fn record_metrics(
        &self,
        missed: usize,
        earlier: Option<(&Totals, Duration)>,
    ) -> Totals {
        let totals = self.metrics.totals();
        let point = Point::new(earlier, &totals, self.state().await.ok());
        self.metrics.history.add(missed, point);
        totals
    }

    /// Reads without logging a failure, which would repeat with each sample.
    async fn state(&self) -> Result<GaugeValues, ReadError> {
        let stats = self.store.stats(self.now()).await?;
        let health = self.store.health();
        let rows = self.store.row_counts().await?;
        let storage = self.store.storage().await?;
        Ok(GaugeValues {
            active: stats.active,
            expiring_soon: stats.near_expiration,
            retained: stats.expired,
            invalid: health.undecodable_sessions,
            messages: rows.messages,
            open_turns: rows.open_turns,
            database_bytes: storage.bytes,
            database_used_bytes: storage.used_bytes,
            free_on_disk: storage.free_on_disk,
            is_healthy: health.is_writable(),
            damaged_pages: health.damaged_pages,
            verified_at: storage.verified.map(|verified| verified.at),
            backed_up_at: storage.last_backup.map(|backup| backup.at),
        })
    }

    /// Measures the free space inside the database file. Blocks for as long as reading the file
    /// takes; a stop of the server ends it early.
    ///
    /// # Errors
    /// The store fails.
    pub fn measure_space(&self) -> Result<(), AppError> {
        Ok(self.store.measure(&|| self.stopping.is_cancelled())?)
    }
}
