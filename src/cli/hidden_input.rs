//! Input that the terminal does not show.

use std::io::{self, BufRead as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretString;

/// The longest line of a terminal, in bytes.
const MAX_LINE: u64 = 4096;

/// The modes of the terminal, restored when dropped.
pub(super) struct Modes(Option<Termios>);

impl Modes {
    /// Remembers the modes.
    pub(super) fn save() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// Stops showing what is typed.
    pub(super) fn without_echo() -> Self {
        let saved = Self::save();
        if let Some(modes) = &saved.0 {
            let mut quiet = modes.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        saved
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        if let Some(modes) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

/// Asks for a secret on the terminal. Returns `None` if the input ends.
pub(super) fn ask(prompt: &str) -> io::Result<Option<SecretString>> {
    let _modes = Modes::without_echo();
    let mut out = io::stderr();
    write!(out, "{prompt}")?;
    out.flush()?;
    let mut line = String::new();
    let length = io::stdin().lock().take(MAX_LINE).read_line(&mut line)?;
    writeln!(out)?;
    Ok((length > 0).then(|| line.trim().into()))
}
