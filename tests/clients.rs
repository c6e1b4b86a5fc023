//! The published clients, unchanged, against the real server.
//!
//! This needs node and npm, and the npm registry or a warm cache of it. Where they are missing the
//! test says so and passes, so that `cargo test` works anywhere; with a value in
//! `SESSIOND_REQUIRE_CLIENT_TESTS` it fails instead.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]

mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::process::wait_at_most;
use support::server::Server;

const REQUIRED: &str = "SESSIOND_REQUIRE_CLIENT_TESTS";

const INSTALL_LIMIT: Duration = Duration::from_mins(3);
const TEST_LIMIT: Duration = Duration::from_mins(5);

/// How long the listeners may take until all of them listen.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// What the guarded server asks for.
const TOKEN: &str = "let-the-client-tests-in";

/// What users' tokens are signed with.
const JWT_SECRET: &str = "what-the-users-of-the-client-tests-sign-with";

#[test]
fn the_published_clients_work_unchanged() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    copy_files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients"),
        folder.path(),
    );
    if let Err(reason) = install(folder.path()).or_else(|_| install(folder.path())) {
        return skip(&reason);
    }

    let server = Server::start();
    // A session's minutes are seconds here.
    let fast = Server::builder()
        .env("SESSION_TIME_SCALE", "60")
        .env("SESSION_MIN_TIMEOUT_MINUTES", "1")
        .start();
    let guarded = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .env("RUST_LOG", "trace")
        .start();
    let users = Server::builder()
        .env("JWT_SECRET", JWT_SECRET)
        .env("SESSIOND_ADMIN_TOKEN", TOKEN)
        .env("RATE_LIMIT_MESSAGES_PER_MINUTE", "3")
        .env("RUST_LOG", "trace")
        .start();
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(test_files(folder.path()))
            .current_dir(folder.path())
            .env("SESSIOND_URL", server.url())
            .env("SESSIOND_FAST_URL", fast.url())
            .env("SESSIOND_GUARDED_URL", guarded.url())
            .env("SESSIOND_TOKEN", TOKEN)
            .env("SESSIOND_USERS_URL", users.url())
            .env("SESSIOND_JWT_SECRET", JWT_SECRET)
            .env("SESSIOND_ADMIN_TOKEN", TOKEN),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
    for server in [&guarded, &users] {
        the_log_holds_nothing_private(&server.log());
    }
    a_stop_tells_who_listens_and_is_clean(folder.path(), server);
}

/// The sockets' traffic at the loudest level: no content, no token, no part of one.
fn the_log_holds_nothing_private(log: &str) {
    assert!(log.contains("DEBUG"), "it is as loud as can be");
    for private in [TOKEN, JWT_SECRET, "Hello.", "Three.", "eyJ"] {
        let line = log.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private} is in the log");
    }
}

/// A stop while sockets and an event stream are open.
fn a_stop_tells_who_listens_and_is_clean(folder: &Path, mut server: Server) {
    let ready = folder.join("ready");
    let mut listening = Command::new("node");
    listening
        .arg("sockets-stop.mjs")
        .current_dir(folder)
        .env("SESSIOND_URL", server.url())
        .env("SESSIOND_READY", &ready);
    let listening = thread::spawn(move || run(&mut listening, READY_LIMIT + STOP_LIMIT));
    let start = Instant::now();
    while !ready.exists() && !listening.is_finished() && start.elapsed() < READY_LIMIT {
        thread::sleep(POLL);
    }

    server.signal("TERM");
    let status = server.wait_at_most(STOP_LIMIT);
    let told = listening.join().expect("the listeners' thread ends");
    if let Err(reason) = told {
        panic!("{reason}");
    }
    let status = status.expect("the stop is quick");
    assert!(status.success(), "the stop is clean");
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
}

/// The test files by name: left to look for them itself, node is content to find none.
fn test_files(folder: &Path) -> Vec<OsString> {
    let files: Vec<_> = fs::read_dir(folder)
        .expect("a directory can be read")
        .map(|entry| entry.expect("a directory can be read").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    assert!(!files.is_empty(), "there are client tests");
    files
}

/// Runs a command to its end; the error has its whole output.
fn run(command: &mut Command, limit: Duration) -> Result<(), String> {
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

    let how = match wait_at_most(&mut child, limit) {
        Some(status) if status.success() => return Ok(()),
        Some(status) => format!("ended with {status}"),
        None => format!("was stopped after {} s", limit.as_secs()),
    };
    let mut text = Vec::new();
    output.rewind().expect("a file can be read again");
    output.read_to_end(&mut text).expect("a file can be read");
    let text = String::from_utf8_lossy(&text);
    Err(format!("{name} {how}. Its output:\n{text}"))
}

/// Leaves the test where that is allowed.
fn skip(reason: &str) {
    let required = env::var_os(REQUIRED).is_some_and(|value| !value.is_empty());
    assert!(!required, "{REQUIRED} is set, but {reason}");
    // Written past the test harness, which hides what a test prints unless it fails.
    let _ = writeln!(io::stderr(), "client tests skipped: {reason}");
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
