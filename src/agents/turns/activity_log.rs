//! The latest activity of a turn, for receivers that read at their own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::activity::Activity;

/// The log holds at most this many activities: those of three seconds at the highest rate.
const MAX_ACTIVITIES: usize = 60;

/// The log holds at most this many bytes of texts.
const MAX_BYTES: usize = 64 * 1024;

/// The latest activity, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct ActivityLog {
    entries: VecDeque<Entry>,
    /// The number of the first entry.
    first: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    activity: Arc<Activity>,
    /// How many chunks were sent before it.
    chunks: usize,
}

impl ActivityLog {
    /// Appends an activity that follows this many chunks; the oldest ones make way for it.
    pub(super) fn push(&mut self, chunks: usize, activity: Arc<Activity>) {
        self.bytes += activity.bytes();
        self.entries.push_back(Entry { activity, chunks });
        while self.entries.len() > MAX_ACTIVITIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                return;
            };
            self.bytes -= oldest.activity.bytes();
            self.first += 1;
        }
    }

    /// Returns the number of the activity that comes next.
    pub(super) fn next_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Moves a reader's position past the activities that it missed; returns their number.
    pub(super) fn skip_dropped(&self, position: &mut u64) -> u64 {
        let missed = self.first.saturating_sub(*position);
        *position += missed;
        missed
    }

    /// Returns the activity with this number, if it follows at most this many chunks.
    pub(super) fn get(&self, number: u64, chunks: usize) -> Option<Arc<Activity>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let entry = self.entries.get(index)?;
        (entry.chunks <= chunks).then(|| Arc::clone(&entry.activity))
    }
}
