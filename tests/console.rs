//! The console in Chromium, against servers that the tests start themselves.
//!
//! What they need beside Chromium, and what happens where it is missing, is said in
//! `support/node.rs`. `SESSIOND_CHROMIUM` names a browser that is not found by its usual names, and
//! `SESSIOND_SCREENSHOTS` a directory to leave pictures of the views in.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]

mod support;

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use support::node::{self, run};

const TEST_LIMIT: Duration = Duration::from_mins(8);

const CHROMIUM: &str = "SESSIOND_CHROMIUM";

/// What Chromium is called, one after the other.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

#[test]
fn the_console_works_in_a_browser() {
    let Some(chromium) = chromium() else {
        return node::skip("there is no Chromium on this machine");
    };
    let directory = match node::prepare("console") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "--test-concurrency=2"])
            .args(node::test_files(directory.path()))
            .current_dir(directory.path())
            .env("SESSIOND_BINARY", env!("CARGO_BIN_EXE_sessiond"))
            .env(CHROMIUM, chromium),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
}

/// The browser that is to be used.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = env::var_os(CHROMIUM).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    let mut candidates = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |directory| directory.join(name)));
    candidates.find(|candidate| candidate.is_file())
}
