//! The metrics that are read at each scrape.

use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::domain::time::Timestamp;

/// The size of a redb page, in bytes.
const PAGE_BYTES: u64 = 4096;

/// The state of the server at a scrape.
#[derive(Debug, Clone, Copy, Default)]
pub struct GaugeValues {
    /// Active sessions.
    pub active: u64,
    /// Active sessions within their warning threshold.
    pub expiring_soon: u64,
    /// Expired sessions that are retained.
    pub retained: u64,
    /// Sessions whose records are damaged.
    pub invalid: u64,
    /// Stored messages.
    pub messages: u64,
    /// Open turns.
    pub open_turns: u64,
    /// Size of the database file, in bytes.
    pub database_bytes: u64,
    /// Bytes of the file that were in use at the last measurement; `None` before the first one.
    pub database_used_bytes: Option<u64>,
    /// Free space on its disk, in bytes; `None` if it is unknown. Only the history has it.
    pub free_on_disk: Option<u64>,
    /// Whether the store takes writes, as far as is known.
    pub is_healthy: bool,
    /// Faults found by the last complete verification of the file.
    pub damaged_pages: u64,
    /// End of that verification; `None` before the first one.
    pub verified_at: Option<Timestamp>,
    /// When the last successful backup was complete; `None` before the first one.
    pub backed_up_at: Option<Timestamp>,
}

impl GaugeValues {
    pub(super) fn families(self) -> Families {
        let mut families = Families::new();
        for (name, help, value) in [
            ("sessions_active", "Active sessions", self.active),
            (
                "sessions_expiring_soon",
                "Active sessions within their warning threshold",
                self.expiring_soon,
            ),
            (
                "sessions_kept",
                "Expired sessions that are retained",
                self.retained,
            ),
            (
                "sessions_invalid",
                "Sessions found to have damaged records",
                self.invalid,
            ),
            ("messages_stored", "Stored messages", self.messages),
            ("turns_open", "Open turns", self.open_turns),
            (
                "healthy",
                "Whether the store takes writes: 1, or 0 if a commit failed, there is no free \
                 space, or the database file is not at its path",
                self.is_healthy.into(),
            ),
            (
                "database_damaged_pages",
                "Faults in pages, index rows and counters found by the last verification",
                self.damaged_pages,
            ),
        ] {
            families.0.register(name, help, ConstGauge::new(value));
        }
        families.add_with_unit(
            "database_size",
            "Size of the database file",
            Unit::Bytes,
            ConstGauge::new(self.database_bytes),
        );
        for (name, help, at) in [
            (
                "database_verified_timestamp",
                "End of the last complete verification of the database; 0 before the first one",
                self.verified_at,
            ),
            (
                "backup_last_success_timestamp",
                "End of the last backup that was complete; 0 before the first one",
                self.backed_up_at,
            ),
        ] {
            let seconds = at.map_or(0.0, |at| at.since(Timestamp(0)).to_duration().as_secs_f64());
            families.add_with_unit(name, help, Unit::Seconds, ConstGauge::new(seconds));
        }
        families.0.register(
            "database_free_pages",
            "Unused pages of 4096 bytes in the database file, as last measured",
            ConstGauge::new(self.free_pages()),
        );
        families
    }

    /// NaN before the first measurement.
    fn free_pages(self) -> f64 {
        let Some(used) = self.database_used_bytes else {
            return f64::NAN;
        };
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 pages")]
        let pages = (self.database_bytes.saturating_sub(used) / PAGE_BYTES) as f64;
        pages
    }
}
