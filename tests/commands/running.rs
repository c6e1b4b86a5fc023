//! `backup`, `export` and `healthcheck` with a running server.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::data::{Home, command_on, create_conversations, succeeded};
use super::support::server::Server;

const TOKEN: &str = "for-the-operator-of-the-server";

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n\
                    <h1>Hello</h1";

/// Starts a program that answers every request with a page. Returns its port and what it received.
fn page_server() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let received = Arc::new(Mutex::new(String::new()));
    let notes = Arc::clone(&received);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = connection.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                notes.lock().expect("no panic").push_str(&text);
                if connection.write_all(PAGE.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, received)
}

/// Runs a command on the data of a server until it ends.
fn run(server: &Server, command: &[&str]) -> Output {
    command_on(server, command).output().expect("it runs")
}

/// Returns the error of a command that must fail.
fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

#[tokio::test]
async fn a_command_reaches_the_server_of_its_data_directory() {
    let server = Server::start();
    let sessions = create_conversations(&server).await;
    let other = Server::start();
    assert_eq!(succeeded(&run(&other, &["export"])), "");
    let exported = run(&server, &["export", "--server-port=1"]);
    assert_eq!(succeeded(&exported).lines().count(), 24);
    let one = run(&server, &["export", "--session", &sessions[1]]);
    assert_eq!(succeeded(&one).lines().count(), 5);
    let unknown = "00000000-0000-7000-8000-000000000000";
    let message = failed(&run(&server, &["export", "--session", unknown]));
    assert!(message.contains("refused (404 Not Found): "), "{message}");
    assert!(message.contains(unknown), "{message}");

    // A link to the directory leads to the same server.
    let linked = Home::new();
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
        let home = Home::new();
        let file = home.path("backup.redb");
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
fn another_program_is_not_healthy() {
    let (port, received) = page_server();
    let home = Home::new();
    let mut command = home.command(&["healthcheck"]);
    command.env("SERVER_PORT", port.to_string());
    command.env("SESSIOND_ADMIN_TOKEN", TOKEN);
    let message = failed(&command.output().expect("it runs"));
    assert!(message.contains("is not sessiond"), "{message}");
    // Health needs no token.
    let received = received.lock().expect("no panic");
    assert!(
        received.starts_with("GET /health HTTP/1.1\r\n"),
        "{received}"
    );
    assert!(!received.contains(TOKEN));

    let server = Server::start();
    let healthy = run(&server, &["healthcheck"]);
    assert_eq!(succeeded(&healthy).trim(), r#"{"status":"healthy"}"#);
}

#[test]
fn a_command_ignores_invalid_settings_that_it_does_not_use() {
    let server = Server::start();
    let home = Home::new();
    let file = home.path("backup.redb");
    let run = |arguments: &[&str], host: &str| {
        let mut command = command_on(&server, arguments);
        let command = command
            .env("SERVER_HOST", host)
            .env("JWT_SECRET_FILE", "/missing/key")
            .env("LOG_FORMAT", "xml")
            .env("SESSION_MIN_TIMEOUT_MINUTES", "5m");
        command.output().expect("it runs")
    };
    // Without a token, no server would start on this address.
    succeeded(&run(&["healthcheck"], "0.0.0.0"));
    for arguments in [&["export"][..], &["agents"], &["backup", path(&file)]] {
        succeeded(&run(arguments, "no such host.invalid"));
    }
    let message = failed(&run(&["healthcheck"], "no such host.invalid"));
    assert!(message.contains("invalid SERVER_HOST"), "{message}");
    let message = failed(&run(&["export", "--sessiond-cache-mb=1GB"], "0.0.0.0"));
    assert!(message.contains("invalid SESSIOND_CACHE_MB"), "{message}");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_forever() {
    let server = Server::start();
    server.signal("STOP");
    let started = Instant::now();
    let export = run(&server, &["export"]);
    server.signal("CONT");
    let message = failed(&export);
    assert!(message.contains("did not answer within"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn neither_the_socket_of_a_crashed_server_nor_a_command_is_a_server() {
    let mut server = Server::start();
    let socket = server.data_dir().join("sessiond.sock");
    assert!(socket.exists());
    server.kill9();
    assert!(socket.exists());
    // As a command that reads it does.
    let database = File::open(server.data_dir().join("sessiond.redb")).expect("the database");
    database.lock().expect("a lock");
    let home = Home::new();
    let file = home.path("backup.redb");
    for command in [
        &["backup", path(&file)][..],
        &["export"],
        &["check"],
        &["restore", "--force", path(&file)],
    ] {
        let message = failed(&run(&server, command));
        let is_right = message.contains("another process holds") || message.contains("backup.redb");
        assert!(is_right, "{message}");
        assert!(!message.contains("a server holds"), "{message}");
    }
    drop(database);
    server.restart();
    succeeded(&run(&server, &["export"]));
    assert!(server.terminate().success());
    assert!(!socket.exists());
}
