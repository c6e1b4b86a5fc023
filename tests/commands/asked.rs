//! Whom `backup`, `export` and `healthcheck` ask, and whom they believe.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
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
    answering(PAGE.to_owned())
}

/// A program that gives everybody the same answer, and what it was sent.
fn answering(answer: String) -> (u16, Arc<Mutex<String>>) {
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
                if connection.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (port, heard)
}

fn port_of(server: &Server) -> String {
    let (_, port) = server.url().rsplit_once(':').expect("a port");
    port.to_owned()
}

/// Asks for the data of a server at a port; what the command complains of.
fn asked_at(server: &Server, port: &str, command: &[&str]) -> String {
    let mut command = beside(server, command);
    command.env("SERVER_PORT", port);
    command.env("SESSIOND_ADMIN_TOKEN", TOKEN);
    failed(&command.output().expect("it runs"))
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn path(file: &Path) -> &str {
    file.to_str().expect("UTF-8")
}

#[tokio::test]
async fn the_server_of_another_folder_is_asked_for_nothing() {
    let server = Server::start();
    talk(&server).await;
    let other = Server::builder().env("SESSIOND_ADMIN_TOKEN", TOKEN).start();
    let (page_port, heard) = page_server();
    let place = Place::new();
    let file = place.path("backup.redb");
    for (port, who) in [
        (port_of(&other), "another server"),
        (page_port.to_string(), "no sessiond"),
    ] {
        for command in [&["backup", path(&file)][..], &["export"]] {
            let said = asked_at(&server, &port, command);
            assert!(said.contains(who), "{said}");
            assert!(said.contains("SERVER_HOST and SERVER_PORT"), "{said}");
        }
    }
    assert!(!file.exists());
    let heard = heard.lock().expect("nobody panics");
    assert!(heard.contains("/healthz"), "{heard}");
    assert!(!heard.contains(TOKEN), "{heard}");
    assert!(!other.log().contains("/api/admin"), "{}", other.log());

    // By a link to the database it is the same one.
    let linked = Place::new();
    std::fs::create_dir(linked.path("data")).expect("a folder");
    let database = server.data_dir().join("sessiond.redb");
    std::os::unix::fs::symlink(database, linked.database()).expect("a link");
    let mut command = beside(&server, &["export"]);
    command.env("DATA_DIR", linked.path("data"));
    let exported = succeeded(&command.output().expect("it runs"));
    assert_eq!(exported.lines().count(), 24);
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
    assert!(!heard.lock().expect("nobody panics").contains(TOKEN));

    let server = Server::start();
    let healthy = beside(&server, &["healthcheck"]).output().expect("it runs");
    assert_eq!(succeeded(&healthy).trim(), r#"{"status":"healthy"}"#);
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_without_end() {
    let server = Server::start();
    server.signal("STOP");
    let started = Instant::now();
    let export = beside(&server, &["export"]).output().expect("it runs");
    server.signal("CONT");
    let said = failed(&export);
    assert!(said.contains("did not answer within"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_a_crash_left_is_no_server_and_neither_is_a_command() {
    let mut server = Server::start();
    let instance = server.data_dir().join("sessiond.instance");
    assert!(instance.exists());
    server.kill9();
    assert!(instance.exists());
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
        let said = failed(&beside(&server, command).output().expect("it runs"));
        let is_right = said.contains("another process holds") || said.contains("backup.redb");
        assert!(is_right, "{said}");
        assert!(!said.contains("a server holds"), "{said}");
    }
    drop(database);
    server.restart();
    succeeded(&beside(&server, &["export"]).output().expect("it runs"));
    assert!(server.terminate().success());
    assert!(!instance.exists());
}

/// What a server sends is looked at, even one that holds the database.
#[test]
fn what_is_no_backup_is_not_kept_and_no_reason_to_replace_the_database() {
    let mut server = Server::start();
    server.kill9();
    let folder = server.data_dir();
    let instance = File::open(folder.join("sessiond.instance")).expect("what names the server");
    instance.lock().expect("a lock");
    let id = std::io::read_to_string(&instance).expect("an id");
    let database = File::open(folder.join("sessiond.redb")).expect("the database");
    database.lock().expect("a lock");
    let place = Place::new();
    let file = place.path("backup.redb");
    for (kind, complaint) in [
        ("text/html", "something else than was asked for"),
        ("application/octet-stream", "no database that can be used"),
    ] {
        let (port, _) = answering(format!(
            "HTTP/1.1 200 OK\r\nx-sessiond-instance: {}\r\ncontent-type: {kind}\r\n\
             content-length: 13\r\n\r\n<h1>Hello</h1",
            id.trim()
        ));
        let said = asked_at(&server, &port.to_string(), &["backup", path(&file)]);
        assert!(said.contains(complaint), "{said}");
        assert!(!said.contains("restore"), "{said}");
        assert!(!file.exists());
    }
}
