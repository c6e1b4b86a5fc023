//! What a command prints: its answer on standard output, its progress on a terminal.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::store::maintenance::offline::Progress;

/// The exit code when standard output is closed early, as shells report SIGPIPE.
pub(super) const CUT_OFF: u8 = 128 + 13;

/// The reader closed standard output early.
#[derive(Debug, thiserror::Error)]
#[error("the output was closed")]
struct CutOff;

/// Prints a line of a command's answer. If standard output is closed, the command goes on, and its exit
/// code tells.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    heard(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Ignores that standard output is closed.
pub(super) fn heard(said: io::Result<()>) -> anyhow::Result<()> {
    match said {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("the output cannot be written")
        }
        _ => Ok(()),
    }
}

/// As [`heard`], for an answer that is of no use in part: ends the command if standard output is closed.
pub(super) fn written(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CutOff.into()),
        other => other.context("the output cannot be written"),
    }
}

/// Whether a command ended because standard output is closed, which needs no message.
pub(super) fn is_cut_off(error: &anyhow::Error) -> bool {
    error.is::<CutOff>()
}

/// A progress bar, removed when dropped. Shows nothing where there is no terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar of rows.
    pub(super) fn rows(doing: &'static str) -> Self {
        Self::new(doing, "{msg} [{bar:40}] {human_pos}/{human_len} rows {eta}")
    }

    /// A count of bytes whose total is not known.
    pub(super) fn bytes(doing: &'static str) -> Self {
        Self::new(doing, "{msg} {spinner} {bytes}")
    }

    /// A count of lines whose total is not known.
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
        self.0.suspend(|| say(text))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
