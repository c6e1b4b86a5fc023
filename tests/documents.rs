//! Runs the commands of the README and the other documents, as they are there.
//!
//! `documents/commands.py` says how, and what a new command needs. `support/node.rs` says what
//! happens if a tool is missing.

mod support;

use std::process::Command;
use std::time::Duration;

use support::node::{self, run};

const TOOLS: [&str; 5] = ["python3", "bash", "curl", "node", "openssl"];

/// Longer than the script's own limits, so that it ends what it has started.
const TEST_LIMIT: Duration = Duration::from_mins(15);

#[test]
fn every_command_of_the_documents_works() {
    for tool in TOOLS {
        if Command::new(tool).arg("--version").output().is_err() {
            return node::skip(&format!("there is no {tool} on this machine"));
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/commands.py");
    let result = run(
        Command::new("python3")
            .args(["-B", script])
            .env("CARGO_BIN_EXE_sessiond", env!("CARGO_BIN_EXE_sessiond")),
        TEST_LIMIT,
    );
    if let Err(reason) = result {
        panic!("{reason}");
    }
}
