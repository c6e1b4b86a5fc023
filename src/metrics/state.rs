//! The metrics that are read at each scrape.

use std::time::Duration;

use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::domain::time::Timestamp;

/// The pages that redb counts, in bytes.
const PAGE_BYTES: u64 = 4096;

/// How things stand at a scrape.
#[derive(Debug, Clone, Copy, Default)]
pub struct State {
    /// Sessions that can be used.
    pub active: u64,
    /// Active sessions within their warning threshold.
    pub expiring_soon: u64,
    /// Expired sessions that are retained.
    pub kept: u64,
    /// Sessions whose records are damaged.
    pub invalid: u64,
    /// Messages that are stored.
    pub messages: u64,
    /// Turns that are open.
    pub open_turns: u64,
    /// The size of the database's file.
    pub database_bytes: u64,
    /// How much of it was in use when that was last measured; none before.
    pub database_used_bytes: Option<u64>,
    /// Whether writes are taken, as far as is known.
    pub is_healthy: bool,
    /// How many faults the last complete verification of the file found.
    pub damaged_pages: u64,
    /// When that ended; none before the first one.
    pub verified_at: Option<Timestamp>,
}

impl State {
    pub(super) fn families(self) -> Families {
        let mut families = Families::new();
        for (name, help, value) in [
            ("sessions_active", "Sessions that can be used", self.active),
            (
                "sessions_expiring_soon",
                "Active sessions within their warning threshold",
                self.expiring_soon,
            ),
            (
                "sessions_kept",
                "Sessions that have expired and are still kept",
                self.kept,
            ),
            (
                "sessions_invalid",
                "Sessions met with whose records are damaged",
                self.invalid,
            ),
            ("messages_stored", "Messages that are stored", self.messages),
            ("turns_open", "Turns that are open", self.open_turns),
            (
                "healthy",
                "Whether writes are taken: 1, or 0 where a commit failed, there is no free space, or \
                 the database file is not at its path",
                self.is_healthy.into(),
            ),
            (
                "database_damaged_pages",
                "Faults in pages, index rows and counters that the last verification found",
                self.damaged_pages,
            ),
        ] {
            families.0.register(name, help, ConstGauge::new(value));
        }
        families.0.register_with_unit(
            "database_size",
            "The size of the database's file",
            Unit::Bytes,
            ConstGauge::new(self.database_bytes),
        );
        let verified = self.verified_at.map_or(0, |at| at.0.max(0).cast_unsigned());
        families.0.register_with_unit(
            "database_verified_timestamp",
            "When the last complete verification of the database ended; 0 where there was none",
            Unit::Seconds,
            ConstGauge::new(Duration::from_millis(verified).as_secs_f64()),
        );
        families.0.register(
            "database_free_pages",
            "Pages of 4096 bytes in the database's file that hold nothing, as last measured",
            ConstGauge::new(self.free_pages()),
        );
        families
    }

    /// Not a number until it is measured.
    fn free_pages(self) -> f64 {
        let Some(used) = self.database_used_bytes else {
            return f64::NAN;
        };
        let pages = self.database_bytes.saturating_sub(used) / PAGE_BYTES;
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 pages")]
        let pages = pages as f64;
        pages
    }
}
