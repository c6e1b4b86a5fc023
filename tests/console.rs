//! Runs the console in Chromium, against servers that the tests start themselves.
//!
//! `support/node.rs` says what they need besides Chromium, and what happens if that is missing.
//! `SESSIOND_CHROMIUM` names a browser that has none of the usual names, and
//! `SESSIOND_SCREENSHOTS` a directory for screenshots of the views.

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

const TEST_LIMIT: Duration = Duration::from_mins(15);

const CHROMIUM: &str = "SESSIOND_CHROMIUM";

/// The usual names of Chromium, in order of preference.
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
            .env(CHROMIUM, chromium)
            .env(
                "SESSIOND_EXAMPLES",
                concat!(env!("CARGO_MANIFEST_DIR"), "/data/examples"),
            )
            .env(
                "SESSIOND_FRONTEND_DOCUMENT",
                concat!(env!("CARGO_MANIFEST_DIR"), "/docs/frontend.md"),
            ),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
}

/// Returns the path of the browser.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = env::var_os(CHROMIUM).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let directories: Vec<_> = env::split_paths(&path).collect();
    let mut candidates = NAMES.iter().flat_map(|name| {
        directories
            .iter()
            .map(move |directory| directory.join(name))
    });
    candidates.find(|candidate| candidate.is_file())
}
