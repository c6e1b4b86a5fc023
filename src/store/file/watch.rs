//! What others change while the store is open: the free space of the disk, and what is at its path.
//!
//! The writer looks at both with each batch, and once a second where nothing is written.

use std::time::{Duration, Instant};

use crate::store::write::writer::{RESERVE, Writer};

/// How often the disk and the path are looked at where nothing is written.
pub(in crate::store) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

impl Writer {
    /// Whether there is room for more than deletions, on the disk or inside the file.
    pub(in crate::store) fn has_room(&mut self) -> bool {
        let space = &self.shared.space;
        let room = self.medium.room().unwrap_or(u64::MAX);
        self.state.is_low = room < RESERVE;
        let is_full = self.state.is_low && room + space.left() < RESERVE;
        match (self.state.is_full, is_full) {
            (false, true) => {
                tracing::error!(
                    reserve = RESERVE,
                    "the disk is nearly full; nothing new is stored until there is room"
                );
                space.want();
            }
            (true, false) => tracing::info!("there is room again"),
            _ => {}
        }
        self.state.is_full = is_full;
        self.shared.condition.no_space.set(is_full);
        self.shared.meters.has_room(!is_full);
        !is_full
    }

    /// Whether the next start would find the file that is open.
    pub(in crate::store) fn is_at_its_path(&self) -> bool {
        let displacement = self.medium.displacement();
        let was_displaced = self
            .shared
            .condition
            .file_replaced
            .set(displacement.is_some());
        match &displacement {
            Some(reason) if !was_displaced => tracing::error!(
                %reason,
                "the open database file is not the one at its path, where the next start looks; \
                 nothing is written until it is back there. Move it back; or, while this server \
                 runs, save what it holds with `sessiond backup FILE`, then stop it and put that \
                 in place with `sessiond restore --force FILE`. Where its folder is gone too, save \
                 it with GET /api/admin/export, and put that in place with `sessiond import`"
            ),
            None if was_displaced => {
                tracing::info!("the database file is at its path again; writing goes on");
            }
            _ => {}
        }
        displacement.is_none()
    }

    /// Looks at the disk and the path, which others change, also where nobody writes.
    pub(in crate::store) fn watch_if_due(&mut self) {
        if Instant::now() < self.state.next_watch {
            return;
        }
        self.is_at_its_path();
        self.has_room();
        self.medium.hold_space();
        self.state.next_watch = Instant::now() + WATCH_INTERVAL;
    }
}
