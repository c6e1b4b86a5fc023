//! The `.env` file, read as npm's `dotenv` reads it.
//!
//! A line gives exactly its value or stops the start: where `dotenv` would skip a line, cut a value
//! off or read something else than was meant, this reader refuses the line and says what to write.

mod fault;
mod line;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

pub use self::fault::{Fault, FaultKind};
use self::parse::Assignment;
use super::ConfigError;
use super::input_file::{self, ReadError};

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The assignments of a `.env` file, in their order.
#[derive(Default)]
pub struct EnvFile {
    assignments: Vec<Assignment>,
}

impl EnvFile {
    /// Reads a file's content.
    ///
    /// # Errors
    /// The first line that is not what it should be.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + memchr::memchr_iter(b'\n', before).count();
            Fault::new(line, FaultKind::NotUtf8, None)
        })?;
        let assignments = parse::parse(&with_unix_line_ends(text))?;
        Ok(Self { assignments })
    }

    /// The names and values in the order of their lines. The last one of a name counts.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let assignments = self.assignments.iter();
        assignments.map(|it| (it.name.as_str(), it.value.as_str()))
    }

    /// The file at a path; an empty one where there is none.
    ///
    /// # Errors
    /// It cannot be read, or a line of it stops the start.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = match input_file::read(path, MAX_BYTES) {
            Ok(file) => file,
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(unreadable(path, &error)),
        };
        Self::parse(&file.bytes).map_err(|fault| {
            let path = path.display();
            ConfigError::new(format!("{path}, line {}: {fault}", fault.line))
        })
    }

    pub(super) fn assignments(self) -> Vec<Assignment> {
        self.assignments
    }
}

impl fmt::Debug for EnvFile {
    /// Shows no value: any of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvFile(..)")
    }
}

/// A line ends with CRLF, LF or CR.
fn with_unix_line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    }
}

fn unreadable(path: &Path, error: &ReadError) -> ConfigError {
    let path = path.display();
    let error = match error {
        ReadError::Io(error) => error,
        ReadError::Pipe => {
            return ConfigError::new(format!(
                "{path} cannot be read: it is a pipe or a socket; settings are read from a \
                 regular file of this name in the working directory"
            ));
        }
        ReadError::TooLarge => {
            return ConfigError::new(format!(
                "{path} cannot be read: it is larger than {MAX_BYTES} bytes; settings are read \
                 from a file of this name in the working directory"
            ));
        }
    };
    let remedy = match error.kind() {
        ErrorKind::IsADirectory => {
            "settings are read from a file of this name in the working directory: rename the \
             directory, or start sessiond elsewhere"
        }
        ErrorKind::PermissionDenied => {
            "the user that runs sessiond must be allowed to read it; or start sessiond elsewhere"
        }
        _ => "start sessiond in another directory to do without it",
    };
    ConfigError::new(format!("{path} cannot be read: {error}; {remedy}"))
}
