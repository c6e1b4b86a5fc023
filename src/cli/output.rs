//! What a command prints: its answer on standard output, its progress on a terminal.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};

use crate::store::file::Progress;

/// How a program ends whose reader has gone away in the midst of its answer: as a shell has it for
/// one that SIGPIPE ended.
pub(super) const CUT_OFF: u8 = 128 + 13;

/// Standard output has been closed by its reader before all was said.
#[derive(Debug, thiserror::Error)]
#[error("the output was closed")]
struct CutOff;

/// A line of a command's answer. Whoever closed standard output does not want to know; the command
/// goes on, and its exit code tells.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    heard(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// What came of saying something.
pub(super) fn heard(said: io::Result<()>) -> anyhow::Result<()> {
    match said {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("the output cannot be written")
        }
        _ => Ok(()),
    }
}

/// What came of writing a part of an answer that is of no use without the rest.
pub(super) fn written(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CutOff.into()),
        other => other.context("the output cannot be written"),
    }
}

/// Whether a command ended because nobody listens any more, of which there is nothing to say.
pub(super) fn is_cut_off(error: &anyhow::Error) -> bool {
    error.is::<CutOff>()
}

/// A progress bar, removed when dropped. Shows nothing where there is no terminal.
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
        self.0.suspend(|| say(text))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
