//! The Unix socket of a server: who may use it, as which role, and servers without one.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sessiond::agents::character::ELIZA_ID;

use super::data::{USER, client, command_on, create_conversations, succeeded};
use super::support::node;
use super::support::server::{Builder, Server};

const SESSIONS: &str = "/api/messaging/sessions";

fn socket(server: &Server) -> PathBuf {
    server.data_dir().join("sessiond.sock")
}

fn by_socket(server: &Server) -> Client {
    // Fails if another test has installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().unix_socket(socket(server));
    builder.build().expect("a client")
}

/// Makes a request over the socket. Returns the status and the body.
async fn call(client: &Client, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = client
        .request(method, format!("http://evil.example{path}"))
        .header("origin", "http://evil.example")
        .header("sec-fetch-site", "cross-site")
        .json(body);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn it_serves_the_api_as_an_admin_without_origin_rules_and_rate_limits() {
    let server = Server::builder()
        .env("RATE_LIMIT_CREATES_PER_MINUTE", "1")
        .env("RATE_LIMIT_MESSAGES_PER_MINUTE", "1")
        .start();
    let client = by_socket(&server);
    let path = "/api/admin/storage";
    let (status, storage) = call(&client, Method::GET, path, &Value::Null).await;
    assert_eq!(status, 200, "{storage}");
    let body = json!({ "agentId": ELIZA_ID.to_string(), "userId": USER });
    for _ in 0..3 {
        let (status, session) = call(&client, Method::POST, SESSIONS, &body).await;
        assert_eq!(status, 201, "{session}");
        let path = format!(
            "{SESSIONS}/{}/messages",
            session["sessionId"].as_str().expect("an id")
        );
        for _ in 0..3 {
            let body = json!({ "content": "hello" });
            let (status, sent) = call(&client, Method::POST, &path, &body).await;
            assert_eq!(status, 201, "{sent}");
        }
    }
    // Socket.IO is only served over TCP.
    let path = "/socket.io/?EIO=4&transport=polling";
    let (status, body) = call(&client, Method::GET, path, &Value::Null).await;
    assert_eq!((status, &body["code"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn connections_of_clients_do_not_block_it() {
    let server = Server::builder().env("MAX_CONNECTIONS", "2").start();
    let sessions = create_conversations(&server).await;
    // Open streams keep their connections busy.
    let path = format!("{SESSIONS}/{}/events", sessions[0]);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let stream = client().get(server.at(&path)).send().await;
        streams.push(stream.expect("a stream"));
    }
    let refused = client().get(server.at("/healthz")).send().await;
    assert!(refused.is_err(), "{refused:?}");
    let exported = command_on(&server, &["export"]).output().expect("it runs");
    assert_eq!(succeeded(&exported).lines().count(), 24);
}

/// Makes a request as another user, by a program that drops its privileges.
fn request_as_other_user(server: &Server) -> Output {
    const SCRIPT: &str = "
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
try:
    connection.sendall(b'GET /healthz HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n')
    print(connection.recv(100))
except (BrokenPipeError, ConnectionResetError):
    print(b'')
";
    Command::new("python3")
        .args(["-c", SCRIPT])
        .arg(socket(server))
        .output()
        .expect("python3 runs")
}

#[test]
fn another_user_is_not_answered() {
    let server = Server::start();
    let own = fs::metadata("/proc/self").expect("this process");
    if own.uid() != 0 {
        // Only root can become another user; the rule itself has its own test.
        return;
    }
    let refused = request_as_other_user(&server);
    assert!(!refused.status.success(), "mode 0600: {refused:?}");
    for directory in [server.home(), &server.data_dir()] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("a mode");
    }
    fs::set_permissions(socket(&server), Permissions::from_mode(0o666)).expect("a mode");
    for _ in 0..3 {
        let refused = request_as_other_user(&server);
        assert_eq!(succeeded(&refused).trim(), "b''");
    }
    let log = server.log();
    let logged: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("only the server's own user and root are admitted"))
        .collect();
    assert_eq!(logged.len(), 1, "{log}");
    assert!(
        logged[0].contains("WARN") && logged[0].contains("uid=65534"),
        "{log}"
    );
    succeeded(&command_on(&server, &["export"]).output().expect("it runs"));
}

#[test]
fn a_second_server_does_not_take_the_socket_of_the_first() {
    let server = Server::start();
    let second = command_on(&server, &["serve", "--server-port=0"]).output();
    let second = second.expect("it runs");
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    succeeded(&command_on(&server, &["export"]).output().expect("it runs"));
}

#[test]
fn an_idle_connection_does_not_delay_the_stop_which_removes_the_socket() {
    let mut server = Server::start();
    let mut idle = UnixStream::connect(socket(&server)).expect("a connection");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        .expect("a request");
    let timeout = Some(Duration::from_secs(20));
    idle.set_read_timeout(timeout).expect("a timeout");
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(server.terminate().success());
    assert!(!socket(&server).exists());
    let refused = UnixStream::connect(socket(&server)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}

#[test]
fn the_file_of_older_versions_is_removed() {
    let builder = Server::builder();
    fs::create_dir(builder.data_dir()).expect("a directory");
    let instance = builder.data_dir().join("sessiond.instance");
    fs::write(&instance, "an id").expect("a file");
    let _server = builder.start();
    assert!(!instance.exists());
}

/// Asserts that a server serves without a socket, and that commands ask to stop it.
fn assert_serves_without(builder: Builder, data_dir: &Path, reason: &str) -> Server {
    let mut server = builder.start();
    let log = server.log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("the command socket cannot be created"))
        .collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("WARN"), "{log}");
    assert!(warnings[0].contains(reason), "{log}");
    let run = |command: &[&str]| {
        let mut command = command_on(&server, command);
        command.env("DATA_DIR", data_dir);
        command.output().expect("it runs")
    };
    succeeded(&run(&["healthcheck"]));
    for command in [&["export"][..], &["backup", "new.redb"], &["check"]] {
        let refused = run(command);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let message = String::from_utf8_lossy(&refused.stderr);
        assert!(message.contains("without a socket"), "{message}");
        // A server that cannot write its directory is not known to others.
        let is_advised = ["stop it first", "or stop the server"].map(|it| message.contains(it));
        assert!(is_advised.contains(&true), "{message}");
    }
    assert!(server.terminate().success());
    server
}

#[test]
fn a_server_whose_path_is_too_long_for_a_socket_serves() {
    let builder = Server::builder();
    let directory = builder.home().join("long".repeat(30));
    let builder = builder.env("DATA_DIR", &directory);
    assert_serves_without(
        builder,
        &directory,
        "the path is too long for a Unix socket",
    );
}

#[test]
fn a_file_in_its_place_is_left_as_it_is() {
    let builder = Server::builder();
    let directory = builder.data_dir();
    let file = directory.join("sessiond.sock");
    fs::create_dir(&directory).expect("a directory");
    fs::write(&file, "not a socket").expect("a file");
    let _home = assert_serves_without(builder, &directory, "not a socket is at the path");
    assert_eq!(fs::read(&file).expect("the file"), b"not a socket");
}

/// Mounts the data directory read-only, except the database, in a namespace of the server: file
/// modes do not restrict root.
const READ_ONLY: &str = r#"mount --bind data data &&
    mount --bind data/sessiond.redb data/sessiond.redb &&
    mount -o remount,bind,ro data && exec "$0" "$@""#;

#[test]
fn a_server_with_a_read_only_directory_serves() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let builder = Server::builder();
    let directory = builder.data_dir();
    fs::create_dir(&directory).expect("a directory");
    let database = server.data_dir().join("sessiond.redb");
    fs::copy(database, directory.join("sessiond.redb")).expect("a copy");
    let unshare = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
    ];
    let probe = READ_ONLY.replace(r#"exec "$0" "$@""#, "true");
    let tried = Command::new(unshare[0])
        .args(&unshare[1..])
        .arg(&probe)
        .current_dir(builder.home())
        .output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        node::skip("this machine permits no mounts (unshare --user --mount)");
        return;
    }
    let wrapper = [&unshare[..], &[READ_ONLY]].concat();
    let builder = builder.wrapped(&wrapper);
    assert_serves_without(builder, &directory, "Read-only file system");
}
