//! What a command answers, on standard output.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;

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
