//! Reads a `.env` file as npm's `dotenv` does.
//!
//! Each line gives exactly its value or stops the start: where `dotenv` would skip a line, cut a
//! value off or misread it, this reader refuses the line and says what to write.

mod fault;
mod line;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

pub use self::fault::{EnvFileFault, FaultKind};
use self::parse::Assignment;
use super::error::ConfigError;
use super::input_file;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The assignments of a `.env` file, in order.
#[derive(Default)]
pub struct EnvFile {
    pub(super) assignments: Vec<Assignment>,
}

impl EnvFile {
    /// Parses the content of a file.
    ///
    /// # Errors
    /// Returns the first invalid line.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvFileFault> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + memchr::memchr_iter(b'\n', before).count();
            EnvFileFault::new(line, FaultKind::NotUtf8, None)
        })?;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let assignments = parse::parse(&text)?;
        Ok(Self { assignments })
    }

    /// Returns names and values in the order of their lines. Of equal names the last one counts.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let assignments = self.assignments.iter();
        assignments.map(|it| (it.name.as_str(), it.value.as_str()))
    }

    /// Reads the file at a path. Returns no assignments if there is none.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let bytes = match input_file::read(path, MAX_BYTES) {
            Ok((bytes, _)) => bytes,
            // A symbolic link that leads nowhere is an error: the file was expected.
            Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(ConfigError(format!(
                    "{shown} cannot be read: {error}; settings are read from a file of this name \
                     in the working directory: rename it, let the user that runs sessiond read it, \
                     or start sessiond elsewhere"
                )));
            }
        };
        let parsed = Self::parse(&bytes);
        parsed.map_err(|fault| ConfigError(format!("{shown}, line {}: {fault}", fault.line)))
    }
}

impl fmt::Debug for EnvFile {
    /// Shows no value: any of them may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvFile(..)")
    }
}
