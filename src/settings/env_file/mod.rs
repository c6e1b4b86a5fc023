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
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

pub use self::fault::{Fault, FaultKind};
use self::parse::Assignment;
use super::ConfigError;
use super::input_file;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The assignments of a `.env` file, in their order.
#[derive(Default)]
pub struct EnvFile {
    pub(super) assignments: Vec<Assignment>,
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
            Err(error) if error.kind() == ErrorKind::NotFound && !is_link(path) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(unreadable(path, &error)),
        };
        Self::parse(&file.bytes).map_err(|fault| {
            let path = path.display();
            ConfigError(format!("{path}, line {}: {fault}", fault.line))
        })
    }

    /// The last assignment of each name.
    pub(super) fn last_assignments(self) -> impl Iterator<Item = Assignment> {
        let assignments = self.assignments.into_iter();
        let last: HashMap<_, _> = assignments.map(|it| (it.name.clone(), it)).collect();
        last.into_values()
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

/// Whether there is a link at a path, which then leads nowhere: whoever made it relies on the file.
fn is_link(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|found| found.is_symlink())
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let path = path.display();
    ConfigError(format!(
        "{path} cannot be read: {error}; settings are read from a file of this name in the working \
         directory: rename it, let the user that runs sessiond read it, or start sessiond elsewhere"
    ))
}
