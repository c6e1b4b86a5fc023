//! Commands whose output cannot be written, or is closed early.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Output, Stdio};
use std::time::Duration;

use super::data::{Home, client, create_conversations};
use super::support::process::wait_at_most;
use super::support::server::Server;

/// Commands whose only purpose is their output.
const ANSWERS: [&[&str]; 8] = [
    &["agents"],
    &["token"],
    &["completions", "bash"],
    &["check"],
    &["export"],
    &["export", "--cannot-be"],
    &["--version"],
    &["help"],
];

async fn home() -> Home {
    let mut server = Server::start();
    create_conversations(&server).await;
    assert!(server.terminate().success());
    Home::with_data_of(&server)
}

fn full() -> File {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("a device that is full")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error() {
    let home = home().await;
    for arguments in ANSWERS {
        let mut command = home.command(arguments);
        let output = command.stdout(full()).output().expect("it runs");
        let message = stderr(&output);
        assert!(!message.contains("panicked"), "{arguments:?}: {message}");
        if arguments.contains(&"--cannot-be") {
            assert_eq!(output.status.code(), Some(2), "{message}");
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        let is_reported = message.contains("the output cannot be written: No space left");
        assert!(is_reported, "{arguments:?}: {message}");

        // If standard error fails too, the exit code still tells.
        let mut command = home.command(arguments);
        let output = command.stdout(full()).stderr(full()).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_closed_output_is_not_reported() {
    let home = home().await;
    for arguments in ANSWERS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = home.command(arguments);
        let output = command.stdout(writer).output().expect("it runs");
        // An incomplete export is useless.
        let expected = match *arguments {
            ["export"] => 141,
            ["export", _] => 2,
            _ => 0,
        };
        let code = output.status.code();
        assert_eq!(code, Some(expected), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stderr(&output).is_empty(), expected != 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_closed_output_of_a_servers_export_is_not_reported() {
    let server = Server::start();
    create_conversations(&server).await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = super::data::command_on(&server, &["export"]);
    let output = command.stdout(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(stderr(&output), "");
    let mut command = super::data::command_on(&server, &["export"]);
    let output = command.stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_check_with_a_closed_output_still_fails() {
    let home = home().await;
    let mut bytes = home.bytes();
    for at in 0..bytes.len() - 6 {
        if bytes[at..].starts_with(b"hello ") {
            bytes[at] ^= 1;
        }
    }
    std::fs::write(home.database(), bytes).expect("a file");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = home.command(&["check"]);
    let output = command.stdout(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("fault"), "{}", stderr(&output));
}

#[tokio::test]
async fn an_unread_log_blocks_neither_the_server_nor_its_stop() {
    let home = Home::new();
    let mut command = home.command(&[]);
    command.env("SERVER_PORT", "0").env("LOG_FORMAT", "text");
    command.env("RUST_LOG", "sessiond=debug");
    let mut server = command.stdout(Stdio::piped()).spawn().expect("it runs");
    let mut log = BufReader::new(server.stdout.take().expect("its output"));
    let url = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("a line") > 0, "it ended");
        if let Some((_, address)) = line.trim().split_once("listening on ") {
            break address.to_owned();
        }
    };

    // More lines than a pipe holds.
    let client = client();
    for _ in 0..1500 {
        let answer = client.get(format!("{url}/api/agents")).send();
        let answer = tokio::time::timeout(Duration::from_secs(30), answer).await;
        let answer = answer.expect("no timeout").expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    let pid = server.id().to_string();
    let asked = std::process::Command::new("sh")
        .args(["-c", r#"kill -s TERM "$0""#, &pid])
        .status();
    assert!(asked.expect("a shell").success());
    let ended = wait_at_most(&mut server, Duration::from_secs(30));
    assert!(ended.expect("it ends").success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("the rest of the log");
    assert!(rest.lines().count() > 100);
}

/// The last lines are written too, even if the start fails.
#[test]
fn the_log_is_complete_at_the_end() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let log = server.log();
    assert!(log.trim_end().ends_with("stopped cleared=false"), "{log}");

    let home = Home::new();
    std::fs::create_dir_all(home.path("data")).expect("a directory");
    std::fs::write(home.database(), "not a database").expect("a file");
    let mut command = home.command(&["--server-port=0"]);
    command.env("SESSION_MIN_TIMEOUT_MINUTES", "1000");
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("SESSION_MIN_TIMEOUT_MINUTES"), "{log}");
}
