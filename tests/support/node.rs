//! Tests that are written in JavaScript, run by node in a folder of their own.
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

/// Copies a folder of `tests/` and installs what it needs; the error says what was in the way.
pub(crate) fn prepare(name: &str) -> Result<TempDir, String> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name);
    copy_files(&source, folder.path());
    install(folder.path()).or_else(|_| install(folder.path()))?;
    Ok(folder)
}

/// Installs exactly what the lock file names; the error says what was in the way.
fn install(folder: &Path) -> Result<(), String> {
    let command = ["ci", "--no-audit", "--no-fund", "--prefer-offline"];
    // npm's own patience would keep a tester without a network waiting for minutes.
    let patience = [
        "--fetch-retries=2",
        "--fetch-retry-mintimeout=1000",
        "--fetch-retry-maxtimeout=3000",
    ];
    run(
        Command::new("npm")
            .args(command)
            .args(patience)
            .current_dir(folder),
        INSTALL_LIMIT,
    )
    .map(drop)
}

/// The test files by name: left to look for them itself, node is content to find none.
pub(crate) fn test_files(folder: &Path) -> Vec<OsString> {
    let files: Vec<_> = fs::read_dir(folder)
        .expect("a directory can be read")
        .map(|entry| entry.expect("a directory can be read").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    assert!(!files.is_empty(), "there are client tests");
    files
}

/// Runs a command to its end; returns its whole output, which the error has too.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = format!("{command:?}");
    // A file, not a pipe: it cannot fill up, and nobody waits for a grandchild to close it.
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

/// Leaves the test where that is allowed.
pub(crate) fn skip(reason: &str) {
    let required = env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
    assert!(!required, "{REQUIRED} is set, but {reason}");
    // Written past the test harness, which hides what a test prints unless it fails.
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
