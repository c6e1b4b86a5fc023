//! What becomes of a command whose output cannot be written, or is not read to its end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Output, Stdio};
use std::time::Duration;

use super::data::{Place, client, talk};
use super::support::process::wait_at_most;
use super::support::server::Server;

/// What the commands write whose answer is all that they are for.
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

async fn place() -> Place {
    let mut server = Server::start();
    talk(&server).await;
    assert!(server.terminate().success());
    Place::of(&server)
}

fn full() -> File {
    let full = OpenOptions::new().write(true).open("/dev/full");
    full.expect("a device that is full")
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_an_error() {
    let place = place().await;
    for arguments in ANSWERS {
        let mut command = place.command(arguments);
        let output = command.stdout(full()).output().expect("it runs");
        let said = words(&output);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        if arguments.contains(&"--cannot-be") {
            assert_eq!(output.status.code(), Some(2), "{said}");
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        let is_said = said.contains("the output cannot be written: No space left");
        assert!(is_said, "{arguments:?}: {said}");

        // Where not even that can be said, the exit code tells.
        let mut command = place.command(arguments);
        let output = command.stdout(full()).stderr(full()).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[tokio::test]
async fn whoever_closes_the_output_hears_nothing_more() {
    let place = place().await;
    for arguments in ANSWERS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = place.command(arguments);
        let output = command.stdout(writer).output().expect("it runs");
        // An export of which a part is missing is none.
        let expected = match *arguments {
            ["export"] => 141,
            ["export", _] => 2,
            _ => 0,
        };
        let code = output.status.code();
        assert_eq!(code, Some(expected), "{arguments:?}: {}", words(&output));
        assert_eq!(words(&output).is_empty(), expected != 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn an_export_of_a_server_is_cut_off_as_quietly() {
    let server = Server::start();
    talk(&server).await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = super::data::beside(&server, &["export"]);
    let output = command.stdout(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(words(&output), "");
    let mut command = super::data::beside(&server, &["export"]);
    let output = command.stdout(full()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_check_whose_faults_nobody_reads_still_fails() {
    let place = place().await;
    let mut bytes = place.bytes();
    for at in 0..bytes.len() - 6 {
        if bytes[at..].starts_with(b"hello ") {
            bytes[at] ^= 1;
        }
    }
    std::fs::write(place.database(), bytes).expect("a file");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = place.command(&["check"]);
    let output = command.stdout(writer).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("fault"), "{}", words(&output));
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_neither_the_server_nor_its_end() {
    let place = Place::new();
    let mut command = place.command(&[]);
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
        let answer = answer.expect("it goes on").expect("an answer");
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

/// What was logged last is written too, also where the start fails.
#[test]
fn the_log_is_whole_at_the_end() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let log = server.log();
    assert!(log.trim_end().ends_with("stopped cleared=false"), "{log}");

    let place = Place::new();
    std::fs::create_dir_all(place.path("data")).expect("a folder");
    std::fs::write(place.database(), "no database").expect("a file");
    let mut command = place.command(&["--server-port=0"]);
    command.env("SESSION_MIN_TIMEOUT_MINUTES", "1000");
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(log.contains("SESSION_MIN_TIMEOUT_MINUTES"), "{log}");
}
