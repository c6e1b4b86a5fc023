//! The messages that a person types, or that come through a pipe.

use std::io::{self, BufRead as _, Read as _};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, bail};
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use tokio::sync::oneshot;

/// What was entered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Line(String),
    /// Ctrl-C at the prompt, which discards the line.
    Interrupted,
    End,
}

type Request = (String, oneshot::Sender<anyhow::Result<Entered>>);

type Reader = Box<dyn FnMut(&str) -> anyhow::Result<Entered> + Send>;

/// Reads lines in a thread of its own, one when asked for one.
pub(super) struct Input(mpsc::Sender<Request>);

impl Input {
    /// Reads from a terminal, with an editor and a history, or from a pipe.
    pub(super) fn new(is_interactive: bool) -> anyhow::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        let mut read: Reader = if is_interactive {
            let mut editor = DefaultEditor::with_config(Config::default())?;
            Box::new(move |prompt| edit(&mut editor, prompt))
        } else {
            let mut number = 0;
            Box::new(move |_| read_line(&mut number))
        };
        let serve = move || {
            for (prompt, answer) in received {
                // No one waits for the line any more if the chat ends.
                let _ = answer.send(read(&prompt));
            }
        };
        thread::Builder::new().name("input".into()).spawn(serve)?;
        Ok(Self(requests))
    }

    /// Returns the next line. A prompt is shown on a terminal.
    pub(super) async fn next(&self, prompt: &str) -> anyhow::Result<Entered> {
        let (answer, answered) = oneshot::channel();
        let _ = self.0.send((prompt.to_owned(), answer));
        answered.await.context("the input cannot be read")?
    }
}

fn edit(editor: &mut DefaultEditor, prompt: &str) -> anyhow::Result<Entered> {
    match editor.readline(prompt) {
        Ok(line) => {
            editor.add_history_entry(line.as_str())?;
            Ok(Entered::Line(line))
        }
        Err(ReadlineError::Interrupted) => Ok(Entered::Interrupted),
        // A terminal that is gone ends the input too.
        Err(ReadlineError::Eof | ReadlineError::Io(_) | ReadlineError::Errno(_)) => {
            Ok(Entered::End)
        }
        Err(error) => Err(error).context("the terminal cannot be read"),
    }
}

/// The longest line of a pipe, in bytes: more than any message that a server stores.
const MAX_LINE: u64 = 64 * 1024;

/// Reads the next line of a pipe, whose number is counted in `number`.
fn read_line(number: &mut u64) -> anyhow::Result<Entered> {
    *number += 1;
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(MAX_LINE + 1);
    let length = input.read_until(b'\n', &mut line);
    let length = length.context("the input cannot be read")?;
    if length == 0 {
        return Ok(Entered::End);
    }
    if length as u64 > MAX_LINE {
        bail!(
            "line {number} of the input is longer than {} KiB; a message has at most 4,000 \
             characters",
            MAX_LINE / 1024
        );
    }
    let line = String::from_utf8(line);
    let line = line.with_context(|| format!("line {number} of the input is not UTF-8"))?;
    Ok(Entered::Line(
        line.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}
