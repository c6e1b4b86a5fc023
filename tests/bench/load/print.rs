//! What people and programs read.

use std::io::{self, Write as _};

/// Writes a line to the standard output.
///
/// # Errors
/// Nobody reads it any more.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Says what went wrong, on the standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    // Where even that cannot be written, nobody is left to be told.
    let _ = writeln!(io::stderr().lock(), "load: {error:#}");
}
