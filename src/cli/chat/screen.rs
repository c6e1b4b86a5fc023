//! What a chat shows: on a terminal for people, else only the replies.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};

use super::super::output::{complete, note, one_line, printable};

/// The standard output of a chat.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether a person reads it and writes the messages.
    is_interactive: bool,
    is_colored: bool,
    /// Whether the next text begins a line.
    at_line_start: bool,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// The name of an agent.
    Bold,
    /// Everything but the conversation itself.
    Dim,
}

impl Screen {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        Self {
            is_interactive: is_terminal && io::stdin().is_terminal(),
            // Respects NO_COLOR, CLICOLOR and TERM, as the log does.
            is_colored: is_terminal && AutoStream::choice(&out) != ColorChoice::Never,
            at_line_start: true,
        }
    }

    pub(super) fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Shows a part of a line or of several ones.
    pub(super) fn write(&mut self, text: &str, look: Look) -> anyhow::Result<()> {
        let text = printable(text);
        let Some(last) = text.chars().next_back() else {
            return Ok(());
        };
        self.at_line_start = last == '\n';
        let (begin, end) = match look {
            Look::Bold if self.is_colored => ("\x1b[1m", "\x1b[0m"),
            Look::Dim if self.is_colored => ("\x1b[2m", "\x1b[0m"),
            _ => ("", ""),
        };
        let mut out = io::stdout().lock();
        complete(write!(out, "{begin}{text}{end}").and_then(|()| out.flush()))
    }

    /// Ends the line, if one has begun.
    pub(super) fn end_line(&mut self) -> anyhow::Result<()> {
        if self.at_line_start {
            return Ok(());
        }
        self.write("\n", Look::Plain)
    }

    /// Shows a line.
    pub(super) fn line(&mut self, text: &str) -> anyhow::Result<()> {
        self.end_line()?;
        self.write(&format!("{text}\n"), Look::Plain)
    }

    /// Reports to a person on the terminal, and to others on standard error.
    pub(super) fn report(&mut self, text: &str) -> anyhow::Result<()> {
        if self.is_interactive {
            return self.note(text);
        }
        note(&one_line(text));
        Ok(())
    }

    /// Shows a dim line to a person.
    pub(super) fn note(&mut self, text: &str) -> anyhow::Result<()> {
        if !self.is_interactive {
            return Ok(());
        }
        self.end_line()?;
        self.write(&one_line(text), Look::Dim)?;
        self.end_line()
    }
}

/// Ends the mode for pasted text, which the line editor sets while it reads a line.
pub(super) fn leave() {
    let mut out = io::stdout();
    if out.is_terminal() && io::stdin().is_terminal() {
        // The terminal may be gone.
        let _ = write!(out, "\x1b[?2004l").and_then(|()| out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_cannot_control_the_terminal() {
        let hostile = "a\x1b]0;title\x07b\u{9b}2Jc\x7f\r\n\td\x08\u{202e}e\u{2066}";
        let shown = "a\u{fffd}]0;title\u{fffd}b\u{fffd}2Jc\u{fffd}\n\td\u{fffd}\u{fffd}e\u{fffd}";
        assert_eq!(printable(hostile), shown);
    }
}
