//! Clients that are generated from the server's `OpenAPI` document.

use std::process::Command;

use super::support::node::{self, run};
use super::support::server::Server;
use super::{ONE_AT_A_TIME, TEST_LIMIT, USER, install_python, source};

#[test]
fn generated_typescript_clients_work() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = match node::prepare("clients/generated") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };
    let server = Server::start();
    let tests = run(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(node::test_files(directory.path()))
            .current_dir(directory.path())
            .env("SESSIOND_URL", server.url()),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
}

#[test]
fn a_generated_python_client_works() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let packages = match install_python(directory.path(), "generated/requirements.txt") {
        Ok(packages) => packages,
        Err(reason) => return node::skip(&reason),
    };
    let server = Server::start();
    let tests = run(
        Command::new("python3")
            .arg(source().join("generated/generated.py"))
            .current_dir(directory.path())
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SESSIOND_URL", server.url())
            .env("SESSIOND_USER", USER),
        TEST_LIMIT,
    );
    match tests {
        Ok(output) => assert!(output.contains("talked"), "{output}"),
        Err(reason) => panic!("{reason}"),
    }
}
