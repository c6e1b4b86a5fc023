//! The progress of a check or a copy.

/// Progress in rows.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The number of processed rows.
    pub done: u64,
    /// The number of all rows.
    pub total: u64,
}

/// How often progress is reported, in rows.
const REPORT_EVERY: u64 = 1 << 12;

impl Progress {
    /// Counts a row, and reports the progress at intervals.
    pub(super) fn step(&mut self, report: &mut dyn FnMut(Self)) {
        self.done += 1;
        if self.done.is_multiple_of(REPORT_EVERY) {
            report(*self);
        }
    }
}
