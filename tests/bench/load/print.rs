//! Output.

use std::io::{self, Write as _};

/// Writes a line to standard output.
///
/// # Errors
/// Fails if the reader has closed the output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints an error to standard error.
pub(crate) fn print_error(error: &anyhow::Error) {
    // If this fails, there is nowhere left to report it.
    let _ = writeln!(io::stderr().lock(), "load: {error:#}");
}
