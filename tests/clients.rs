//! Runs the published clients, unchanged, and the client library against the real server.
//!
//! `support/node.rs` says what they need, and what happens if that is missing.

#![allow(
    clippy::expect_used,
    reason = "a helper that cannot do its work fails the test"
)]

#[path = "clients/agents.rs"]
mod agents;
#[path = "clients/env_file.rs"]
mod env_file;
#[path = "clients/generated.rs"]
mod generated;
#[path = "clients/library.rs"]
mod library;
#[path = "clients/model.rs"]
mod model;
#[path = "clients/monitoring.rs"]
mod monitoring;
mod support;
#[path = "clients/webhooks.rs"]
mod webhooks;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::node::{self, run};
use support::server::Server;

const INSTALL_LIMIT: Duration = Duration::from_mins(3);
const TEST_LIMIT: Duration = Duration::from_mins(8);

/// The longest that the listeners may take to connect.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// The longest that a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// The least number of calls that schemathesis must make.
const CASES: usize = 3000;

/// The token of the server that requires one.
const TOKEN: &str = "let-the-client-tests-in";

/// The key that signs users' tokens.
const JWT_SECRET: &str = "what-the-users-of-the-client-tests-sign-with";

/// The agent whose replies do not end: a webhook of the tests.
const STREAM_AGENT: &str = "00000000-0000-4000-8000-00000000005e";

/// A user's id.
const USER: &str = "3c90c3cc-0d44-4b50-8888-8dd25736052a";

/// Some of these tests depend on timing, others keep the machine busy.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn published_clients_work_unchanged() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = match node::prepare("clients") {
        Ok(directory) => directory,
        Err(reason) => return node::skip(&reason),
    };

    let port = free_port();
    let server = Server::builder();
    let agents = server.data_dir().join("agents");
    fs::create_dir_all(&agents).expect("a directory can be created");
    let agent = json!({ "id": STREAM_AGENT, "name": "Storyteller", "settings": { "backend": {
        "type": "webhook", "url": format!("http://127.0.0.1:{port}/"),
    } } });
    fs::write(agents.join("storyteller.json"), agent.to_string()).expect("a file can be written");
    let server = server.start();
    // A minute of a session lasts a second here.
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
            .args(node::test_files(directory.path()))
            .current_dir(directory.path())
            .env("SESSIOND_URL", server.url())
            .env("SESSIOND_FAST_URL", fast.url())
            .env("SESSIOND_GUARDED_URL", guarded.url())
            .env("SESSIOND_TOKEN", TOKEN)
            .env("SESSIOND_USERS_URL", users.url())
            .env("SESSIOND_JWT_SECRET", JWT_SECRET)
            .env("SESSIOND_ADMIN_TOKEN", TOKEN)
            .env("SESSIOND_STREAM_AGENT", STREAM_AGENT)
            .env("SESSIOND_STREAM_PORT", port.to_string())
            .env(
                "SESSIOND_FRONTEND_DOCUMENT",
                source().join("../../docs/frontend.md"),
            ),
        TEST_LIMIT,
    );
    if let Err(reason) = tests {
        panic!("{reason}");
    }
    for server in [&guarded, &users] {
        assert_log_is_free_of_secrets(&server.log());
    }
    assert_stop_notifies_listeners(directory.path(), server);
}

/// Thousands of calls, valid and invalid, that schemathesis generates from the `OpenAPI` document.
#[test]
fn the_server_conforms_to_its_openapi_document() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let packages = match install_python(directory.path(), "requirements.txt") {
        Ok(packages) => packages,
        Err(reason) => return node::skip(&reason),
    };
    let server = Server::start();
    let channel = create_session(&server);
    let tests = run(
        Command::new(packages.join("bin/schemathesis"))
            .arg("--config-file")
            .arg(source().join("schemathesis.toml"))
            .args(["run", "--no-color", "--workers=1", "--checks=all"])
            .args(["--max-examples=300", "--seed=1", "--continue-on-failure"])
            .args(["--request-timeout=30", "--suppress-health-check=all"])
            .arg(server.at("/openapi.json"))
            .current_dir(directory.path())
            .env("PYTHONPATH", &packages)
            .env("SESSIOND_CHANNEL", channel),
        TEST_LIMIT,
    );
    match tests {
        Ok(output) => assert!(cases(&output) >= CASES, "too few calls:\n{output}"),
        Err(reason) => panic!("{reason}"),
    }
}

/// python-socketio's `call` waits for acknowledgements, which node's client does not.
#[test]
fn python_socketio_calls_are_acknowledged() {
    let _turn = ONE_AT_A_TIME.lock();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let packages = match install_python(directory.path(), "python-sockets.txt") {
        Ok(packages) => packages,
        Err(reason) => return node::skip(&reason),
    };
    let server = Server::start();
    let tests = run(
        Command::new("python3")
            .arg(source().join("callbacks.py"))
            .current_dir(directory.path())
            .env("PYTHONPATH", &packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SESSIOND_URL", server.url())
            .env("SESSIOND_CHANNEL", create_session(&server))
            .env("SESSIOND_USER", USER),
        TEST_LIMIT,
    );
    match tests {
        Ok(output) => assert!(output.contains("acknowledged"), "{output}"),
        Err(reason) => panic!("{reason}"),
    }
}

/// Returns a port that nothing uses at present.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Installs the Python packages of a requirements file into a directory, and returns their path.
///
/// # Errors
/// Says what is missing or what failed.
fn install_python(directory: &Path, requirements: &str) -> Result<PathBuf, String> {
    let packages = directory.join("packages");
    run(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--target")
            .arg(&packages)
            .arg("--requirement")
            .arg(source().join(requirements)),
        INSTALL_LIMIT,
    )?;
    Ok(packages)
}

/// Returns the number of calls in a run's summary.
fn cases(output: &str) -> usize {
    let (_, summary) = output.split_once("Test cases:").expect("a summary");
    let count = summary.split_whitespace().next();
    count.and_then(|count| count.parse().ok()).expect("a count")
}

/// Creates a session with the built-in agent and returns its id.
fn create_session(server: &Server) -> String {
    let body =
        format!(r#"{{"agentId": "b850bc30-45f8-0041-a00a-83df46d8555d", "userId": "{USER}"}}"#);
    let authority = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).expect("a connection");
    write!(
        stream,
        "POST /api/messaging/sessions HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, session) = answer.split_once("\r\n\r\n").expect("a body");
    let session: serde_json::Value = serde_json::from_str(session).expect("a session");
    let id = session["sessionId"].as_str();
    id.expect("the session's id").to_owned()
}

/// Asserts that even the most verbose log contains no content and no part of a token.
fn assert_log_is_free_of_secrets(log: &str) {
    assert!(log.contains("DEBUG"), "the log is verbose");
    for private in [TOKEN, JWT_SECRET, "Hello.", "Three.", "eyJ"] {
        let line = log.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private} is in the log");
    }
}

/// Stops the server while sockets and an event stream are open.
fn assert_stop_notifies_listeners(directory: &Path, mut server: Server) {
    let ready = directory.join("ready");
    let mut listening = Command::new("node");
    listening
        .arg("sockets-stop.mjs")
        .current_dir(directory)
        .env("SESSIOND_URL", server.url())
        .env("SESSIOND_READY", &ready);
    let listening = thread::spawn(move || run(&mut listening, READY_LIMIT + STOP_LIMIT));
    let start = Instant::now();
    while !ready.exists() && !listening.is_finished() && start.elapsed() < READY_LIMIT {
        thread::sleep(POLL);
    }

    server.signal("TERM");
    let status = server.wait_at_most(STOP_LIMIT);
    let notified = listening.join().expect("the listeners' thread ends");
    if let Err(reason) = notified {
        panic!("{reason}");
    }
    let status = status.expect("the stop is in time");
    assert!(status.success(), "the stop is clean");
}
