//! Watching what other programs change: the free space of the disk, and the file at the path.
//!
//! The writer checks both with each batch, and once a second when idle.

use std::time::Instant;

use super::writer::{WATCH_INTERVAL, Writer};
use crate::store::file::disk::RESERVED_BYTES;

impl Writer {
    /// Whether there is free space for more than deletions, on the disk or inside the file.
    pub(super) fn has_free_space(&mut self) -> bool {
        let space = &self.shared.space;
        let free = self.file.free_bytes().unwrap_or(u64::MAX);
        self.state.is_low = free < RESERVED_BYTES;
        let is_full = self.state.is_low && free + space.left() < RESERVED_BYTES;
        match (self.state.is_full, is_full) {
            (false, true) => {
                tracing::error!(
                    reserve = RESERVED_BYTES,
                    "the disk is nearly full; nothing new is stored until there is free space"
                );
                space.request_measurement();
            }
            (true, false) => tracing::info!("there is free space again"),
            _ => {}
        }
        self.state.is_full = is_full;
        self.shared.condition.no_space.set(is_full);
        self.shared.meters.set_has_free_space(!is_full);
        !is_full
    }

    /// Whether the next start would find the open file.
    pub(super) fn is_at_its_path(&self) -> bool {
        let displacement = self.file.displacement();
        let replaced = &self.shared.condition.file_replaced;
        let was_displaced = replaced.set(displacement.is_some());
        match &displacement {
            Some(reason) if !was_displaced => tracing::error!(
                %reason,
                "the open database file is not the one at its path, where the next start looks; \
                 nothing is written until it is back there. Move it back; or, while this server \
                 runs, save its content with `sessiond backup FILE`, then stop it and put that \
                 in place with `sessiond restore --force FILE`. If its directory is gone too, save \
                 the content with GET /api/admin/export, and put that in place with \
                 `sessiond import`"
            ),
            None if was_displaced => {
                tracing::info!("the database file is at its path again; writing continues");
            }
            _ => {}
        }
        displacement.is_none()
    }

    /// Checks the disk and the path, even if nothing is written.
    pub(super) fn watch_if_due(&mut self) {
        if Instant::now() < self.state.next_watch {
            return;
        }
        self.is_at_its_path();
        self.has_free_space();
        self.file.refill_reserve();
        self.state.next_watch = Instant::now() + WATCH_INTERVAL;
    }
}
