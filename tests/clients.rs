//! The published clients, unchanged, against the real server.
//!
//! What they need, and what happens where it is missing, is said in `support/node.rs`.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::node::{self, run};
use support::server::Server;

const TEST_LIMIT: Duration = Duration::from_mins(5);

/// How long the listeners may take until all of them listen.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// How long a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// What the guarded server asks for.
const TOKEN: &str = "let-the-client-tests-in";

#[test]
fn the_published_clients_work_unchanged() {
    let folder = match node::prepare("clients") {
        Ok(folder) => folder,
        Err(reason) => return node::skip(&reason),
    };

    let server = Server::start();
    // A session's minutes are seconds here.
    let fast = Server::builder()
        .env("SESSION_TIME_SCALE", "60")
        .env("SESSION_MIN_TIMEOUT_MINUTES", "1")
        .start();
    let guarded = Server::builder()
        .env("ELIZA_SERVER_AUTH_TOKEN", TOKEN)
        .start();
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(node::test_files(folder.path()))
            .current_dir(folder.path())
            .env("SESSIOND_URL", server.url())
            .env("SESSIOND_FAST_URL", fast.url())
            .env("SESSIOND_GUARDED_URL", guarded.url())
            .env("SESSIOND_TOKEN", TOKEN),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
    a_stop_tells_who_listens_and_is_clean(folder.path(), server);
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
