//! The output of commands: answers on standard output, progress on a terminal.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::json;
use crate::store::maintenance::offline::Progress;

/// The exit code if standard output was closed early, as shells report SIGPIPE.
pub(super) const CLOSED: u8 = 128 + 13;

/// Prints a line on standard output. A closed output is ignored: the exit code still tells the
/// result.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    unless_closed(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Prints a message on standard error. Failures are ignored.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "sessiond: {}", printable(text));
}

/// Replaces the characters of a text from elsewhere that would control the terminal, except for the
/// ends of lines and tabs.
pub(super) fn printable(text: &str) -> String {
    let shown = text.chars().filter(|it| *it != '\r');
    let shown = shown.map(|it| match it {
        '\n' | '\t' => it,
        it if controls_terminal(it) => char::REPLACEMENT_CHARACTER,
        it => it,
    });
    shown.collect()
}

/// Whether a character of a text from elsewhere would control a terminal: move the cursor, set the
/// title, or reverse the order of what follows, which would show another text.
pub(super) fn controls_terminal(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces the characters of a text from elsewhere that would control a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.replace(controls_terminal, " ")
}

/// Prints a value as JSON, for scripts: a part of it is useless, so that a closed output is an
/// error.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = json::text(value);
    let mut out = io::stdout().lock();
    complete(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Returns the error of a write, unless the output was closed.
pub(super) fn unless_closed(written: io::Result<()>) -> anyhow::Result<()> {
    complete(written).or_else(|error| is_closed(&error).then_some(()).ok_or(error))
}

/// Returns the error of a write, also if the output was closed: a part of this output is useless.
pub(super) fn complete(written: io::Result<()>) -> anyhow::Result<()> {
    written.context("the output cannot be written")
}

/// Whether a command ended because standard output was closed, which needs no message.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The templates of progress in rows and channels, and in bytes or lines whose total is unknown.
pub(super) const ROWS: &str = "{msg} [{bar:40}] {human_pos}/{human_len} rows {eta}";
pub(super) const BYTES: &str = "{msg} {spinner} {bytes}";
pub(super) const LINES: &str = "{msg} {spinner} {human_pos} lines";

pub(super) const CHANNELS: &str = "{msg} [{bar:40}] {human_pos}/{human_len} channels {eta}";

/// A progress bar on a terminal, removed when dropped. Without a terminal it shows nothing.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Shows an action with one of the templates above.
    pub(super) fn new(template: &str, action: &'static str) -> Self {
        let bar = ProgressBar::new(0).with_message(action);
        // The templates are constants; an invalid one would leave the default style.
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

    /// Prints a line above the bar.
    pub(super) fn print(&self, text: &str) -> anyhow::Result<()> {
        self.0.suspend(|| print(text))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
