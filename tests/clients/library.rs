//! The client library and its `ChatTransport`, as the server serves them, and the examples of
//! `data/examples` that use them, with servers that the tests start and stop.

use std::process::Command;

use super::support::node::{self, run};
use super::{ONE_AT_A_TIME, TEST_LIMIT, source};

#[test]
fn the_client_library_works() {
    let _turn = ONE_AT_A_TIME.lock();
    if let Err(reason) = run(Command::new("python3").arg("--version"), TEST_LIMIT) {
        return node::skip(&reason);
    }
    let directory = match node::prepare("clients/library") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "--test-concurrency=2"])
            .args(node::test_files(directory.path()))
            .current_dir(directory.path())
            .env("SESSIOND_BINARY", env!("CARGO_BIN_EXE_sessiond"))
            .env("SESSIOND_EXAMPLES", source().join("../../data/examples"))
            .env(
                "SESSIOND_FRONTEND_DOCUMENT",
                source().join("../../docs/frontend.md"),
            ),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
}
