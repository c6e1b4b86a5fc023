//! Progress on a terminal; elsewhere nothing is shown.

use indicatif::{ProgressBar, ProgressStyle};

use crate::store::file::Progress;

/// A bar of rows, gone when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar with what is being done.
    pub(super) fn rows(doing: &'static str) -> Self {
        Self::new(doing, "{msg} [{bar:40}] {human_pos}/{human_len} rows {eta}")
    }

    /// A count of bytes whose end is not known.
    pub(super) fn bytes(doing: &'static str) -> Self {
        Self::new(doing, "{msg} {spinner} {bytes}")
    }

    /// A count of lines whose end is not known.
    pub(super) fn lines(doing: &'static str) -> Self {
        Self::new(doing, "{msg} {spinner} {human_pos} lines")
    }

    fn new(doing: &'static str, template: &str) -> Self {
        let bar = ProgressBar::new(0).with_message(doing);
        // The templates are constants; without one the bar has its usual look.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn show(&self, progress: Progress) {
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }

    pub(super) fn add(&self, more: u64) {
        self.0.inc(more);
    }

    /// Writes a line above the bar.
    pub(super) fn line(&self, text: &str) -> anyhow::Result<()> {
        self.0.suspend(|| super::say(text))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
