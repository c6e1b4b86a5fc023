//! What `backup`, `export` and `healthcheck` ask a running server, and how they find it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::data::{Place, beside, succeeded, talk};
use super::support::server::Server;

const TOKEN: &str = "for-the-operator-of-the-server";

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n\
                    <h1>Hello</h1";

/// A program that answers everything with a page, and what it was sent.
fn page_server() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(String::new()));
    let notes = Arc::clone(&heard);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = connection.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                notes.lock().expect("nobody panics").push_str(&text);
                if connection.write_all(PAGE.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, heard)
}

/// Runs a command beside a server to its end.
fn run(server: &Server, command: &[&str]) -> Output {
    beside(server, command).output().expect("it runs")
}

/// The complaint of a command that failed.
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

#[tokio::test]
async fn a_command_reaches_the_server_of_its_own_folder() {
    let server = Server::start();
    let sessions = talk(&server).await;
    let other = Server::start();
    assert_eq!(succeeded(&run(&other, &["export"])), "");
    let exported = run(&server, &["export", "--server-port=1"]);
    assert_eq!(succeeded(&exported).lines().count(), 24);
    let one = run(&server, &["export", "--session", &sessions[1]]);
    assert_eq!(succeeded(&one).lines().count(), 5);
    let unknown = "00000000-0000-7000-8000-000000000000";
    let said = failed(&run(&server, &["export", "--session", unknown]));
    assert!(said.contains("refused (404 Not Found): "), "{said}");
    assert!(said.contains(unknown), "{said}");

    // By a link to the folder it is the same one.
    let linked = Place::new();
    symlink(server.data_dir(), linked.path("data")).expect("a link");
    assert_eq!(linked.succeeds(&["export"]).lines().count(), 24);
}

#[test]
fn a_command_needs_no_token_and_is_audited() {
    for tokens in [
        &["JWT_SECRET"][..],
        &[
            "ELIZA_SERVER_AUTH_TOKEN",
            "SESSIOND_ADMIN_TOKEN",
            "JWT_SECRET",
        ],
    ] {
        let mut builder = Server::builder();
        for token in tokens {
            builder = builder.env(*token, format!("{TOKEN}-{token}-of-32-bytes-or-more"));
        }
        let server = builder.start();
        let place = Place::new();
        let file = place.path("backup.redb");
        succeeded(&run(&server, &["backup", path(&file)]));
        succeeded(&run(&server, &["export"]));
        let log = server.log();
        let audit: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("sessiond::audit"))
            .collect();
        for (line, route) in audit.iter().zip(["backup", "export"]) {
            for part in ["who=admin", "address=unix", "status=200", route] {
                assert!(line.contains(part), "{part} in {line}");
            }
        }
        assert_eq!(audit.len(), 2, "{log}");
    }
}

#[test]
fn a_page_is_no_sign_of_health() {
    let (port, heard) = page_server();
    let place = Place::new();
    let mut command = place.command(&["healthcheck"]);
    command.env("SERVER_PORT", port.to_string());
    command.env("SESSIOND_ADMIN_TOKEN", TOKEN);
    let said = failed(&command.output().expect("it runs"));
    assert!(said.contains("is no sessiond"), "{said}");
    // How a server is, it says to everybody.
    let heard = heard.lock().expect("nobody panics");
    assert!(heard.starts_with("GET /health HTTP/1.1\r\n"), "{heard}");
    assert!(!heard.contains(TOKEN));

    let server = Server::start();
    let healthy = run(&server, &["healthcheck"]);
    assert_eq!(succeeded(&healthy).trim(), r#"{"status":"healthy"}"#);
    let mut command = beside(&server, &["healthcheck"]);
    command.env("JWT_SECRET_FILE", "/missing/key");
    let said = failed(&command.output().expect("it runs"));
    let expected = r#"invalid JWT_SECRET_FILE "/missing/key""#;
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    let server = Server::start();
    server.signal("STOP");
    let started = Instant::now();
    let export = run(&server, &["export"]);
    server.signal("CONT");
    let said = failed(&export);
    assert!(said.contains("did not answer within"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_a_crash_left_is_no_server_and_neither_is_a_command() {
    let mut server = Server::start();
    let socket = server.data_dir().join("sessiond.sock");
    assert!(socket.exists());
    server.kill9();
    assert!(socket.exists());
    // As a command does that reads it.
    let database = File::open(server.data_dir().join("sessiond.redb")).expect("the database");
    database.lock().expect("a lock");
    let place = Place::new();
    let file = place.path("backup.redb");
    for command in [
        &["backup", path(&file)][..],
        &["export"],
        &["check"],
        &["restore", "--force", path(&file)],
    ] {
        let said = failed(&run(&server, command));
        let is_right = said.contains("another process holds") || said.contains("backup.redb");
        assert!(is_right, "{said}");
        assert!(!said.contains("a server holds"), "{said}");
    }
    drop(database);
    server.restart();
    succeeded(&run(&server, &["export"]));
    assert!(server.terminate().success());
    assert!(!socket.exists());
}
