//! Runs tests that are written in JavaScript, with node, in a temporary directory.
//!
//! They need node and npm, and the npm registry or a warm cache of it. Where something is missing
//! the test says so and passes, so that `cargo test` works anywhere; with a value in
//! `SESSIOND_REQUIRE_CLIENT_TESTS` it fails instead.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::process::wait_at_most;

const REQUIRED: &str = "SESSIOND_REQUIRE_CLIENT_TESTS";

const INSTALL_LIMIT: Duration = Duration::from_mins(3);

/// Copies a directory of `tests/` and installs its npm packages.
///
/// # Errors
/// Says what is missing or what failed.
pub(crate) fn prepare(name: &str) -> Result<TempDir, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    copy_files(&source, directory.path());
    install(directory.path()).or_else(|_| install(directory.path()))?;
    Ok(directory)
}

/// Installs exactly what the lock file names.
fn install(directory: &Path) -> Result<(), String> {
    let command = ["ci", "--no-audit", "--no-fund", "--prefer-offline"];
    // With npm's own timeouts, a tester without a network would wait for minutes.
    let timeouts = [
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=3000",
    ];
    run(
        Command::new("npm")
            .args(command)
            .args(timeouts)
            .current_dir(directory),
        INSTALL_LIMIT,
    )
    .map(drop)
}

/// Returns the names of the test files. node itself passes if it finds none.
pub(crate) fn test_files(directory: &Path) -> Vec<OsString> {
    let files: Vec<_> = fs::read_dir(directory)
        .expect("a directory can be read")
        .map(|entry| entry.expect("a directory can be read").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    assert!(!files.is_empty(), "no test files found");
    files
}

/// Runs a command to its end and returns its whole output, which the error contains too.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = format!("{command:?}");
    // A file cannot fill up like a pipe, and need not be closed by grandchildren.
    let mut output = tempfile::tempfile().expect("a temporary file");
    let stdout = output.try_clone().expect("a file can be cloned");
    let stderr = output.try_clone().expect("a file can be cloned");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;

    let status = wait_at_most(&mut child, limit);
    let mut text = Vec::new();
    output.rewind().expect("a file can be read again");
    output.read_to_end(&mut text).expect("a file can be read");
    let text = String::from_utf8_lossy(&text).into_owned();
    let how = match status {
        Some(status) if status.success() => return Ok(text),
        Some(status) => format!("ended with {status}"),
        None => format!("was stopped after {} s", limit.as_secs()),
    };
    Err(format!("{name} {how}. Its output:\n{text}"))
}

/// Reports a skipped test. Panics if client tests are required.
pub(crate) fn skip(reason: &str) {
    let required = env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
    assert!(!required, "{REQUIRED} is set, but {reason}");
    // Bypasses the test harness, which hides the output of passing tests.
    let _ = writeln!(io::stderr(), "test skipped: {reason}");
}

/// Copies the files of a directory, so that nothing is installed into the source tree.
fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("a directory can be read");
        if entry.file_type().expect("a file type").is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
        }
    }
}
